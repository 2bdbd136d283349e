// SPDX-License-Identifier: Apache-2.0
// /v1/catalog/*, /v1/health/*, /v1/status/*: what is known of everybody, with blocking queries.
// A service that nobody knows is an empty list with an index, and asking with that index waits for
// its first instance.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/consul/filter.h"
#include "agent/doors/instance_json.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace consul {

http::Answer text_error(int status, std::string_view why) {
  return http::text_answer(status, std::string(why));
}

Result<Api::Until, std::string> parse_blocking(Api& api, const http::ServerRequest& request,
                                               std::string service_label) {
  const std::string_view dc = request.target.get("dc");
  if (!dc.empty() && dc != api.options().datacenter)
    return failure(std::string("No path to datacenter"));
  Api::Until until;
  Api::Until::Key key{std::move(service_label), 0};
  const std::string_view index = request.target.get("index");
  if (index.empty()) return until;
  const auto end = std::from_chars(index.data(), index.data() + index.size(), key.index);
  if (end.ec != std::errc() || end.ptr != index.data() + index.size())
    return failure(std::string("Invalid index"));
  until.keys = {std::move(key)};
  until.wait = kWaitDefault;
  if (const std::string_view wait = request.target.get("wait"); !wait.empty()) {
    const auto duration = parse_go_duration(wait);
    if (!duration) return failure(std::string("Invalid wait time"));
    until.wait = std::min(*duration, kWaitMax);
  }
  // Jitter, so that clients that came together do not come back together.
  until.wait += api.env().random.between(Duration::zero(), until.wait / 16);
  return until;
}

http::Answer with_index(Api& api, std::string_view service_label, std::string body) {
  http::Answer answer = http::json_answer(std::move(body));
  answer.headers = {{"X-Consul-Index", std::to_string(api.index_of(service_label))},
                    {"X-Consul-KnownLeader", "true"},
                    {"X-Consul-LastContact", "0"}};
  return answer;
}

}  // namespace consul

namespace {

using namespace consul;
using registry::HostView;
using registry::InstancePtr;

/// What a query for instances asks for; owned by the blocking query.
struct Query {
  std::string label;
  std::vector<std::string> tags;
  bool passing = false;
  bool near_agent = false;
  Filter filter;
};

/// Nothing: it has been answered.
std::optional<Query> parse_query(const http::ServerRequest& request, std::string_view name,
                                 http::Exchange& exchange) {
  auto filter = Filter::parse(request.target.get("filter"));
  if (!filter) {
    exchange.answer(text_error(400, filter.error()));
    return std::nullopt;
  }
  Query query{label_of(name), {}, is_set(request.target, "passing"), false, std::move(*filter)};
  // passing=1 and passing=true filter, passing=false does not; nothing else is told apart.
  query.near_agent = request.target.get("near") == "_agent";
  for (const auto& [key, value] : request.target.query)
    if (key == "tag" && !value.empty()) query.tags.push_back(value);
  return query;
}

std::vector<InstancePtr> find_instances(Api& api, const Query& query) {
  const HostView host = api.control().host();
  std::vector<InstancePtr> found = api.control().registry().instances(query.label);
  // Without ?passing, Consul lists unhealthy instances too.
  if (query.passing) found = registry::choose_served(found, {.only_passing = true}).served;
  std::erase_if(found, [&](const InstancePtr& instance) {
    if (instance->shadowed) return true;
    const std::vector<std::string> tags = tags_of(*instance);
    for (const std::string& tag : query.tags)
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) return true;
    return !query.filter.wants(*instance, host);
  });
  if (query.near_agent) {
    std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
      return nearness_of(*a, host) < nearness_of(*b, host);
    });
  }
  return found;
}

std::string encode_health_entries(Api& api, const std::vector<InstancePtr>& instances) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_array();
  for (const InstancePtr& instance : instances) {
    out.begin_object().key("Node");
    encode_node(out, node_of(*instance, host), address_of(*instance, host),
                api.options().datacenter);
    out.key("Service");
    encode_service(out, *instance, host);
    out.key("Checks");
    encode_checks(out, *instance, host);
    out.end_object();
  }
  out.end_array();
  return body;
}

using Encode = std::string (*)(Api&, const std::vector<InstancePtr>&);

std::string encode_catalog_entries(Api& api, const std::vector<InstancePtr>& instances) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_array();
  for (const InstancePtr& instance : instances)
    encode_catalog_service(out, *instance, host, api.options().datacenter);
  out.end_array();
  return body;
}

std::string encode_check_entries(Api& api, const std::vector<InstancePtr>& instances) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_array();
  for (const InstancePtr& instance : instances)
    for (const registry::CheckState& check : instance->checks)
      encode_check(out, *instance, check, host);
  out.end_array();
  return body;
}

void of_service(Api& api, const http::ServerRequest& request, std::string_view name, Encode encode,
                http::Exchange exchange) {
  auto until = parse_blocking(api, request, label_of(name));
  if (!until) return exchange.answer(text_error(400, until.error()));
  auto query = parse_query(request, name, exchange);
  if (!query) return;
  api.answer_when(std::move(*until), std::move(exchange),
                  [&api, encode, query = std::move(*query)] {
                    return with_index(api, query.label, encode(api, find_instances(api, query)));
                  });
}

/// The same for what concerns everything; `body` is made when it is answered.
template <class Body>
void of_everything(Api& api, const http::ServerRequest& request, http::Exchange exchange,
                   Body body) {
  auto until = parse_blocking(api, request, {});
  if (!until) return exchange.answer(text_error(400, until.error()));
  api.answer_when(std::move(*until), std::move(exchange),
                  [&api, body] { return with_index(api, {}, body(api)); });
}

std::string service_names(Api& api) {
  const registry::Registry& registry = api.control().registry();
  std::string body;
  json::Writer out(body);
  out.begin_object();
  // As in every Consul, and some clients take an empty map for an error.
  out.key("consul").begin_array().end_array();
  for (const std::string& label : registry.services()) {
    std::set<std::string> tags;
    std::string name = label;
    for (const InstancePtr& instance : registry.instances(label)) {
      name = instance->service.text();
      for (std::string& tag : tags_of(*instance))
        tags.insert(std::move(tag));
    }
    if (label == "consul") continue;
    out.key(name).begin_array();
    for (const std::string& tag : tags)
      out.value(tag);
    out.end_array();
  }
  out.end_object();
  return body;
}

/// Hosts, ours first, with the address of an instance there.
std::string nodes(Api& api) {
  const HostView host = api.control().host();
  std::map<std::string, std::string> others;
  for (const std::string& label : api.control().registry().services())
    for (const InstancePtr& instance : api.control().registry().instances(label))
      others.emplace(node_of(*instance, host), address_of(*instance, host));
  others.erase(host.name);
  std::string body;
  json::Writer out(body);
  out.begin_array();
  encode_node(out, host.name,
              host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string(),
              api.options().datacenter);
  for (const auto& [name, address] : others)
    encode_node(out, name, address, api.options().datacenter);
  out.end_array();
  return body;
}

/// Every instance whose checks, or which itself, is wanted.
template <class Wanted>
std::vector<InstancePtr> everyone(Api& api, Wanted wanted) {
  std::vector<InstancePtr> out;
  for (const std::string& label : api.control().registry().services()) {
    for (InstancePtr& instance : api.control().registry().instances(label))
      if (wanted(*instance)) out.push_back(std::move(instance));
  }
  return out;
}

std::string checks_in_state(Api& api, std::string_view state) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_array();
  for (const InstancePtr& instance : everyone(api, [](const auto&) { return true; })) {
    for (const registry::CheckState& check : instance->checks)
      if (state == "any" || state == consul::status_of(check.health))
        encode_check(out, *instance, check, host);
  }
  out.end_array();
  return body;
}

void state(Api& api, const http::ServerRequest& request, std::string_view wanted,
           http::Exchange exchange) {
  if (wanted != "any" && wanted != "passing" && wanted != "warning" && wanted != "critical") {
    return exchange.answer(
        text_error(400, "Unsupported state: expected any, passing, warning or critical"));
  }
  of_everything(api, request, std::move(exchange),
                [kept = std::string(wanted)](Api& a) { return checks_in_state(a, kept); });
}

void add_catalog_routes(Api& api) {
  http::Router& router = api.router();
  router.add("GET", "/v1/catalog/datacenters",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange e) {
               http::Answer answer;
               json::Writer(answer.body).begin_array().value(api.options().datacenter).end_array();
               e.answer(std::move(answer));
             });
  router.add("GET", "/v1/catalog/nodes",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange e) {
               of_everything(api, request, std::move(e), nodes);
             });
  router.add("GET", "/v1/catalog/services",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange e) {
               of_everything(api, request, std::move(e), service_names);
             });
  router.add("GET", "/v1/catalog/service/*",
             [&api](const http::ServerRequest& request, std::string_view name, http::Exchange e) {
               of_service(api, request, name, encode_catalog_entries, std::move(e));
             });
  for (const auto& [path, body] : {std::pair("/v1/status/leader", "\"127.0.0.1:8300\""),
                                   std::pair("/v1/status/peers", "[\"127.0.0.1:8300\"]")}) {
    router.add("GET", path,
               [kept = body](const http::ServerRequest&, std::string_view, http::Exchange e) {
                 e.answer(http::json_answer(kept));
               });
  }
}

}  // namespace

void add_consul_catalog_routes(Api& api) {
  http::Router& router = api.router();
  router.add("GET", "/v1/health/service/*",
             [&api](const http::ServerRequest& request, std::string_view name, http::Exchange e) {
               of_service(api, request, name, encode_health_entries, std::move(e));
             });
  router.add("GET", "/v1/health/checks/*",
             [&api](const http::ServerRequest& request, std::string_view name, http::Exchange e) {
               of_service(api, request, name, encode_check_entries, std::move(e));
             });
  router.add("GET", "/v1/health/state/*",
             [&api](const http::ServerRequest& request, std::string_view wanted, http::Exchange e) {
               state(api, request, wanted, std::move(e));
             });
  router.add("GET", "/v1/health/node/*",
             [&api](const http::ServerRequest& request, std::string_view node, http::Exchange e) {
               of_everything(api, request, std::move(e), [kept = std::string(node)](Api& a) {
                 const HostView host = a.control().host();
                 return encode_check_entries(a,
                                             everyone(a, [&](const registry::Instance& instance) {
                                               return node_of(instance, host) == kept;
                                             }));
               });
             });
  add_catalog_routes(api);
}

}  // namespace outrider::doors
