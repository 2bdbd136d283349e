// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/routes.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace outrider::farp {
namespace {

constexpr int kFarpPriority = 20;
constexpr int kCatchAllPriority = 10;
constexpr int kOctopusPriority = 100;

// All instances of one service; the first one's metadata speaks for all.
struct Group {
  std::vector<const RouteSource*> members;
  const RouteSource& first() const { return *members.front(); }
  const std::string& service() const { return first().service; }
};

std::vector<Group> group_by_service(const std::vector<RouteSource>& sources) {
  std::vector<Group> groups;
  for (const RouteSource& source : sources) {
    const auto found = std::ranges::find_if(
        groups, [&](const Group& group) { return group.service() == source.service; });
    if (found == groups.end())
      groups.push_back({{&source}});
    else
      found->members.push_back(&source);
  }
  return groups;
}

std::vector<std::string> targets_of(const Group& group) {
  std::vector<std::string> targets;
  for (const RouteSource* source : group.members) {
    const std::string target = "http://" + source->endpoint.to_string();
    if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
  }
  return targets;
}

// Lower case with '_' and blanks as '-': how Bastion normalises a name for a prefix.
std::string normalised(std::string text) {
  text = lowered(text);
  std::ranges::replace_if(
      text, [](char c) { return c == '_' || c == ' '; }, '-');
  return text;
}

// Makes the routes of one group; each gateway's rules decide which.
class Builder {
 public:
  Builder(const Group& group, std::vector<Route>& routes) : group_(group), routes_(routes) {}

  std::string prefix;
  int priority = kFarpPriority;
  bool strip_prefix = true;
  std::string health_path;

  Route& add(std::string_view id, std::string path, std::string protocol, std::string why) {
    Route route;
    route.id = std::string(id) + '-' + group_.service();
    route.path = prefix + std::move(path);
    route.protocol = std::move(protocol);
    route.service = group_.service();
    route.targets = targets_of(group_);
    route.priority = priority;
    route.strip_prefix = strip_prefix;
    route.health_path = health_path;
    route.why = std::move(why);
    routes_.push_back(std::move(route));
    return routes_.back();
  }
  void http(std::string why) { add_suffixed("http", "/*", "http", std::move(why)); }
  void websocket(std::string why) { add_suffixed("ws", "/ws/*", "websocket", std::move(why)); }
  void graphql(std::string why) {
    add_suffixed("graphql", "/graphql", "graphql", std::move(why)).methods = {"GET", "POST"};
  }
  void grpc(std::string why) { add_suffixed("grpc", "/*", "grpc", std::move(why)); }
  void catch_all(std::string why) {
    priority = kCatchAllPriority;
    add("discovery", "/*", "http", std::move(why));
  }

 private:
  Route& add_suffixed(const char* kind, std::string path, std::string protocol, std::string why) {
    Route& route = add("farp", std::move(path), std::move(protocol), std::move(why));
    route.id += std::string("-") + kind;
    return route;
  }

  const Group& group_;
  std::vector<Route>& routes_;
};

// TXT rules shared by the old Forge gateway and Bastion's fallback: a key's presence makes the
// route.
bool txt_routes(Builder& builder, const TxtFacts& txt) {
  const bool any = !txt.openapi.empty() || !txt.asyncapi.empty() || !txt.graphql.empty();
  if (!txt.openapi.empty()) builder.http("farp.openapi in TXT");
  if (!txt.asyncapi.empty()) builder.websocket("farp.asyncapi in TXT");
  if (!txt.graphql.empty()) builder.graphql("farp.graphql in TXT");
  return any;
}

void forge_routes(const Group& group, std::vector<Route>& routes) {
  Builder builder(group, routes);
  const TxtFacts& txt = group.first().txt;
  builder.prefix = '/' + group.service();
  builder.health_path = "/_/health";
  if (!txt.enabled) return builder.catch_all("catch-all: farp.enabled is not \"true\"");
  if (txt.manifest.empty()) return builder.catch_all("catch-all: no farp.manifest in TXT");
  if (!txt_routes(builder, txt)) builder.catch_all("catch-all: no schema key in TXT");
}

bool schema_routes(Builder& builder, const Manifest& manifest) {
  for (const SchemaDescriptor& schema : manifest.schemas) {
    const std::string why = "manifest schema " + schema.type;
    if (schema.type == "asyncapi")
      builder.websocket(why);
    else if (schema.type == "graphql")
      builder.graphql(why);
    else if (schema.type == "grpc" || schema.type == "thrift" || schema.type == "avro")
      builder.grpc(why);
    else
      builder.http(why);
  }
  return !manifest.schemas.empty();
}

bool endpoint_routes(Builder& builder, const EndpointPaths& endpoints) {
  if (!endpoints.openapi.empty()) builder.http("manifest endpoints.openapi");
  if (!endpoints.asyncapi.empty()) builder.websocket("manifest endpoints.asyncapi");
  if (!endpoints.graphql.empty()) builder.graphql("manifest endpoints.graphql");
  if (endpoints.grpc_reflection) builder.grpc("manifest endpoints.grpc_reflection");
  return !endpoints.openapi.empty() || !endpoints.asyncapi.empty() || !endpoints.graphql.empty() ||
         endpoints.grpc_reflection;
}

std::string bastion_prefix(const std::string& service, const Manifest& manifest) {
  const Routing& routing = manifest.routing;
  if (routing.strategy == "root") return routing.base_path;
  if (routing.strategy == "versioned")
    return '/' + normalised(service) + '/' + manifest.service_version;
  if (routing.strategy == "custom") return routing.base_path;
  if (routing.strategy == "instance") return '/' + manifest.instance_id;
  return '/' + normalised(service);  // service, and subdomain, which Bastion does not support
}

void bastion_routes(const Group& group, std::vector<Route>& routes) {
  Builder builder(group, routes);
  const RouteSource& source = group.first();
  builder.prefix = '/' + normalised(group.service());
  builder.health_path = source.txt.health.empty() ? "/_/health" : source.txt.health;
  if (!source.txt.enabled) return builder.catch_all("catch-all: farp.enabled is not \"true\"");
  if (source.manifest) {
    const Manifest& manifest = *source.manifest;
    builder.prefix = bastion_prefix(group.service(), manifest);
    builder.priority = manifest.routing.priority == 0 ? kFarpPriority
                                                      : static_cast<int>(manifest.routing.priority);
    if (!manifest.endpoints.health.empty()) builder.health_path = manifest.endpoints.health;
    for (std::size_t i = 0; i < manifest.route_table.size(); ++i) {
      const RouteDescriptor& entry = manifest.route_table[i];
      Route& route = builder.add("farp", entry.path, entry.protocol, "manifest route_table");
      route.id += "-rt-" + std::to_string(i);
      route.methods = entry.methods;
    }
    if (!manifest.route_table.empty()) return;
    if (schema_routes(builder, manifest)) return;
    if (endpoint_routes(builder, manifest.endpoints)) return;
  }
  if (txt_routes(builder, source.txt)) return;
  builder.catch_all("catch-all: neither manifest nor TXT name a schema");
}

// One upstream per service name; the DNS-SD label is the name, the TXT's name is not looked at.
void octopus_routes(const std::vector<RouteSource>& sources, std::vector<Route>& routes) {
  std::vector<std::string> seen;
  for (const RouteSource& source : sources) {
    if (!source.txt.enabled) continue;
    if (std::ranges::find(seen, source.label) != seen.end()) continue;
    seen.push_back(source.label);
    Group group{{&source}};
    Builder builder(group, routes);
    builder.prefix = '/' + lowered(source.label);
    builder.priority = kOctopusPriority;
    builder.health_path = source.txt.health.empty() ? "/health" : source.txt.health;
    const std::string path =
        source.txt.openapi_path.empty() ? "/openapi.json" : source.txt.openapi_path;
    builder.add("octopus", "/*", "http", "paths of " + path);
  }
}

// "Mount strategies" of the specification; unlike Bastion it counts in majors: /name/v1.
std::string spec_prefix(const std::string& service, const Manifest& manifest) {
  const Routing& routing = manifest.routing;
  if (routing.strategy == "root") return "";
  if (routing.strategy == "instance") return '/' + manifest.instance_id;
  if (routing.strategy == "versioned") {
    const std::string& version = manifest.service_version;
    return '/' + service + "/v" + version.substr(0, version.find('.'));
  }
  if (routing.strategy == "custom") return routing.base_path;
  if (routing.strategy == "subdomain") return routing.subdomain + ".gateway";
  return '/' + service;
}

void spec_routes(const Group& group, std::vector<Route>& routes) {
  const RouteSource& source = group.first();
  if (!source.txt.enabled || !source.manifest) return;
  const Manifest& manifest = *source.manifest;
  Builder builder(group, routes);
  builder.prefix = spec_prefix(group.service(), manifest);
  builder.priority = static_cast<int>(manifest.routing.priority);
  builder.strip_prefix = manifest.routing.strip_prefix;
  builder.health_path = manifest.endpoints.health;
  if (!schema_routes(builder, manifest)) endpoint_routes(builder, manifest.endpoints);
}

}  // namespace

std::optional<Gateway> parse_gateway(std::string_view text) {
  for (const Gateway g : {Gateway::bastion, Gateway::forge, Gateway::octopus, Gateway::spec})
    if (text == to_string(g)) return g;
  return std::nullopt;
}

const char* to_string(Gateway gateway) {
  switch (gateway) {
    case Gateway::bastion:
      return "bastion";
    case Gateway::forge:
      return "forge";
    case Gateway::octopus:
      return "octopus";
    case Gateway::spec:
      return "spec";
  }
  OUTRIDER_UNREACHABLE();
}

std::vector<Route> build_routes(Gateway gateway, const std::vector<RouteSource>& sources) {
  std::vector<Route> routes;
  if (gateway == Gateway::octopus) {
    octopus_routes(sources, routes);
    return routes;
  }
  for (const Group& group : group_by_service(sources)) {
    switch (gateway) {
      case Gateway::bastion:
        bastion_routes(group, routes);
        break;
      case Gateway::forge:
        forge_routes(group, routes);
        break;
      case Gateway::spec:
        spec_routes(group, routes);
        break;
      case Gateway::octopus:
        break;
    }
  }
  return routes;
}

}  // namespace outrider::farp
