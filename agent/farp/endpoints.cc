// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/endpoints.h"

#include <algorithm>

#include "agent/farp/txt.h"
#include "agent/farp/txt_writer.h"

namespace outrider::farp {
namespace {

constexpr std::string_view kRoot = "/_farp";

std::int64_t seconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// The configured address if there is one, else where the asker reached this host.
IpAddress service_address(const registry::Instance& instance, const Vantage& vantage) {
  return instance.addresses.empty() ? vantage.address : instance.addresses.front().address;
}

std::string base_url(const IpAddress& address, std::uint16_t port) {
  return "http://" + Endpoint{address, port}.to_string();
}

const std::string& schema_path(const registry::FarpSpec& farp, SchemaType type) {
  switch (type) {
    case SchemaType::openapi:
      return farp.openapi;
    case SchemaType::asyncapi:
      return farp.asyncapi;
    case SchemaType::graphql:
      return farp.graphql;
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<SchemaDescriptor> describe(const registry::Instance& instance, const Schema& schema,
                                         const Vantage& vantage) {
  SchemaDescriptor descriptor;
  descriptor.type = to_string(schema.type);
  descriptor.spec_version = schema.spec_version;
  descriptor.content_type = schema.content_type;
  descriptor.hash = schema.hash;
  descriptor.size = static_cast<std::int64_t>(schema.document.size());
  const std::string& path = schema_path(*instance.farp, schema.type);
  const bool file = registry::FarpSpec::is_file(path);
  if (file && schema.document.size() <= kInlineBytesMax) {
    // SDL is no JSON and stays outside.
    if (auto document = json::parse_foreign(schema.document, kSchemaBytesMax)) {
      descriptor.location_type = "inline";
      descriptor.inline_schema = std::move(*document);
      return descriptor;
    }
  }
  // A GraphQL endpoint answers queries, not GETs of its schema: that one is served here.
  if (file || schema.type == SchemaType::graphql) {
    if (vantage.farp_port == 0) return std::nullopt;
    descriptor.url = base_url(vantage.address, vantage.farp_port) + endpoint_prefix(instance) +
                     "/schemas/" + to_string(schema.type);
  } else {
    const bool absolute = !path.starts_with('/');
    descriptor.url = absolute ? with_reachable_host(path, vantage.address)
                              : base_url(service_address(instance, vantage), instance.port) + path;
  }
  return descriptor;
}

EndpointAnswer json_answer(int status, const std::function<void(json::Writer&)>& write) {
  EndpointAnswer answer;
  answer.status = status;
  json::Writer out(answer.body);
  write(out);
  answer.body += '\n';
  return answer;
}

EndpointAnswer refuse(int status, std::string_view error) {
  return json_answer(
      status, [&](json::Writer& out) { out.begin_object().member("error", error).end_object(); });
}

EndpointAnswer not_ready(std::string_view why, bool farp_enabled) {
  return json_answer(503, [&](json::Writer& out) {
    out.begin_object().member("error", why).member("farp_enabled", farp_enabled);
    out.member("backend", "mdns").end_object();
  });
}

struct SplitPath {
  std::string_view whose;  // "SERVICE/ID", "SERVICE", "ID" or ""
  std::string_view what;   // "manifest", "schemas/TYPE"; empty: none of the endpoints
};

/// From the end, since an id may contain slashes.
SplitPath split(std::string_view path) {
  std::size_t at = path.rfind('/');
  const std::string_view last = at == path.npos ? path : path.substr(at + 1);
  if (last != "manifest" && last != "health" && last != "discovery") {
    constexpr std::string_view kSchemas = "schemas";
    if (at == path.npos || !path.substr(0, at).ends_with(kSchemas)) return {};
    at -= kSchemas.size();
    if (at == 0) return {{}, path};
    if (path[--at] != '/') return {};
  } else if (at == path.npos) {
    return {{}, path};
  }
  if (at == 0) return {};
  return {path.substr(0, at), path.substr(at + 1)};
}

EndpointAnswer discovery(const registry::Instance& instance, const Vantage& vantage) {
  return json_answer(200, [&](json::Writer& out) {
    out.begin_object().member("service_id", instance.id.text());
    out.member("service_name", instance.service.text());
    out.member("service_version", instance.version);
    out.member("address", service_address(instance, vantage).to_string());
    out.member("port", static_cast<std::int64_t>(instance.port)).key("tags").begin_array();
    for (const std::string& tag : instance.tags)
      out.value(tag);
    out.end_array().key("metadata").begin_object();
    for (const auto& [key, value] : instance.metadata)
      out.member(key, value);
    out.member("farp.enabled", "true");
    out.member("farp.manifest", base_url(vantage.address, vantage.farp_port) +
                                    endpoint_prefix(instance) + "/manifest");
    out.end_object().member("farp_enabled", true).member("backend", "mdns").end_object();
  });
}

}  // namespace

Manifest build_manifest(const registry::Instance& instance, const SchemaStore& schemas,
                        const Vantage& vantage) {
  Manifest manifest;
  manifest.service_name = instance.service.text();
  // Octopus' reader needs the key, and some need it filled.
  manifest.service_version = instance.version.empty() ? "0.0.0" : instance.version;
  manifest.instance_id = instance.id.text();
  InstanceMetadata metadata;
  metadata.address = Endpoint{service_address(instance, vantage), instance.port}.to_string();
  metadata.status = farp_status(instance.health);
  metadata.weight = std::min<std::int64_t>(instance.weight, 100);
  metadata.started_at = seconds(instance.registered.wall);
  const auto note = [&](const char* key, std::string& into) {
    const auto found = instance.metadata.find(key);
    if (found != instance.metadata.end()) into = found->second;
  };
  note("region", metadata.region);
  note("zone", metadata.zone);
  manifest.instance = metadata;
  for (const Schema* schema : schemas.of(instance.id.text()))
    if (auto descriptor = describe(instance, *schema, vantage))
      manifest.schemas.push_back(std::move(*descriptor));
  manifest.capabilities = instance.farp->capabilities;
  const std::string health = health_path(instance);
  manifest.endpoints.health = health.empty() ? "/health" : health;
  const auto on_service = [](const std::string& document) {
    return registry::FarpSpec::is_file(document) ? std::string() : document;
  };
  manifest.endpoints.openapi = on_service(instance.farp->openapi);
  manifest.endpoints.asyncapi = on_service(instance.farp->asyncapi);
  manifest.endpoints.graphql = on_service(instance.farp->graphql);
  manifest.endpoints.grpc_reflection = instance.farp->grpc_reflection;
  manifest.updated_at = seconds(instance.latest.wall);
  seal(manifest);
  return manifest;
}

const char* farp_status(registry::Health health) {
  switch (health) {
    case registry::Health::passing:
      return "healthy";
    case registry::Health::warning:
      return "degraded";
    case registry::Health::starting:
      return "starting";
    case registry::Health::critical:
      return "unhealthy";
    case registry::Health::draining:
      return "draining";
    case registry::Health::maintenance:
      return "unhealthy";
  }
  OUTRIDER_UNREACHABLE();
}

EndpointAnswer Endpoints::answer(std::string_view method, std::string_view path,
                                 const Vantage& vantage) const {
  if (method != "GET" && method != "HEAD") return refuse(405, "only GET is allowed");
  if (!path.starts_with(kRoot) || path.size() <= kRoot.size() + 1 || path[kRoot.size()] != '/')
    return refuse(404, "not found");
  path.remove_prefix(kRoot.size() + 1);
  const auto [whose, what] = split(path);
  if (what.empty()) return refuse(404, "not found");

  std::vector<registry::InstancePtr> ours;
  for (const registry::InstancePtr& instance : registry_.own())
    if (instance->farp->enabled) ours.push_back(instance);
  if (ours.empty()) return not_ready("service not registered", false);
  const auto found = std::ranges::find_if(ours, [whose = whose](const auto& instance) {
    return endpoint_prefix(*instance).substr(kRoot.size() + 1) == whose ||
           instance->id.text() == whose;
  });
  if (found != ours.end()) return one(**found, what, vantage);
  std::erase_if(ours, [whose = whose](const registry::InstancePtr& instance) {
    return !whose.empty() && instance->service.label() != whose;
  });
  if (ours.empty()) return refuse(404, "no such service here");
  if (ours.size() > 1) return refuse(404, "several instances here: ask /_farp/SERVICE/ID/…");
  return one(*ours.front(), what, vantage);
}

EndpointAnswer Endpoints::one(const registry::Instance& instance, std::string_view what,
                              const Vantage& vantage) const {
  if (what == "health") {
    const std::string status = farp_status(instance.health);
    const bool well = registry::usable(instance.health);
    return json_answer(well ? 200 : 503, [&](json::Writer& out) {
      out.begin_object().member("status", status).end_object();
    });
  }
  if (what.starts_with("schemas/")) {
    const auto type = parse_schema_type(what.substr(8));
    const Schema* schema = type ? schemas_.find(instance.id.text(), *type) : nullptr;
    if (schema == nullptr) {
      const std::string name(what.substr(8));
      return {404, "text/plain; charset=utf-8", "schema not found: " + name + '\n'};
    }
    return {200, schema->content_type, schema->document};
  }
  if (!registry::usable(instance.health))
    return not_ready(std::string("service is ") + to_string(instance.health), true);
  if (what == "discovery") return discovery(instance, vantage);
  const Manifest manifest = build_manifest(instance, schemas_, vantage);
  return json_answer(200, [&](json::Writer& out) { write_manifest(out, manifest); });
}

}  // namespace outrider::farp
