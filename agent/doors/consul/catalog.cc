// SPDX-License-Identifier: Apache-2.0
// /v1/catalog/*, /v1/health/*, /v1/status/*: instances of all hosts, with blocking queries. An
// unknown service is an empty list with an index; a query with that index waits for its first
// instance.
#include <algorithm>
#include <map>
#include <set>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/registry/served.h"
#include "base/text.h"

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
  const auto number = parse_number<std::uint64_t>(index);
  if (!number) return failure(std::string("Invalid index"));
  key.index = *number;
  until.keys = {std::move(key)};
  until.wait = kWaitDefault;
  if (const std::string_view wait = request.target.get("wait"); !wait.empty()) {
    const auto duration = parse_go_duration(wait);
    if (!duration) return failure(std::string("Invalid wait time"));
    until.wait = std::min(*duration, kWaitMax);
  }
  // Jitter, so that clients that started together do not return together.
  until.wait += api.env().random.between(Duration::zero(), until.wait / 16);
  return until;
}

std::optional<Filter> parse_filter_of(http::Call& call, Rows rows) {
  auto filter = Filter::parse(call.request.target.get("filter"), rows);
  if (filter) return std::move(*filter);
  call.exchange.answer(text_error(400, filter.error()));
  return std::nullopt;
}

bool asks_for_node_meta(const http::Target& target) {
  return std::any_of(target.query.begin(), target.query.end(), [](const auto& parameter) {
    return parameter.first == "node-meta" && !parameter.second.empty();
  });
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

/// A query for the instances of a service; owned by the blocking query.
struct Query {
  std::string label;
  std::vector<std::string> tags;
  bool no_node = false;  // asks for hosts with metadata, and ours have none
  bool passing = false;
  bool near_agent = false;
  Filter filter;
};

/// The instances that a request for a service asks for. Answers 400 and returns nothing if the
/// filter is malformed.
std::optional<Query> parse_query(http::Call& call, Rows rows) {
  auto filter = parse_filter_of(call, rows);
  if (!filter) return std::nullopt;
  Query query{.label = label_of(call.rest), .filter = std::move(*filter)};
  query.no_node = asks_for_node_meta(call.request.target);
  query.passing = is_set(call.request.target, "passing");
  query.near_agent = call.request.target.get("near") == "_agent";
  for (const auto& [key, value] : call.request.target.query)
    if (key == "tag" && !value.empty()) query.tags.push_back(value);
  return query;
}

std::vector<InstancePtr> find_instances(Api& api, const Query& query) {
  if (query.no_node) return {};
  const HostView host = api.control().host();
  std::vector<InstancePtr> found = api.control().registry().instances(query.label);
  // Without ?passing, Consul lists unhealthy instances too.
  if (query.passing) found = registry::choose_served(found, {.only_passing = true}).served;
  std::erase_if(found, [&](const InstancePtr& instance) {
    if (instance->shadowed) return true;
    const std::vector<std::string> tags = tags_of(*instance);
    for (const std::string& tag : query.tags)
      if (std::find(tags.begin(), tags.end(), tag) == tags.end()) return true;
    return false;
  });
  if (query.near_agent) {
    std::stable_sort(found.begin(), found.end(), [&](const auto& a, const auto& b) {
      return nearness_of(*a, host) < nearness_of(*b, host);
    });
  }
  return found;
}

using Encode = std::string (*)(Api&, const std::vector<InstancePtr>&, const Filter&);

std::string encode_health_entries(Api& api, const std::vector<InstancePtr>& instances,
                                  const Filter& filter) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer array(body);
  array.begin_array();
  for (const InstancePtr& instance : instances) {
    write_row(array, filter, [&](json::Writer& out) {
      out.begin_object().key("Node");
      encode_node(out, node_of(*instance, host), address_of(*instance, host),
                  api.options().datacenter);
      out.key("Service");
      encode_service(out, *instance, host);
      out.key("Checks");
      encode_checks(out, *instance, host);
      out.end_object();
    });
  }
  array.end_array();
  return body;
}

std::string encode_catalog_entries(Api& api, const std::vector<InstancePtr>& instances,
                                   const Filter& filter) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer array(body);
  array.begin_array();
  for (const InstancePtr& instance : instances) {
    write_row(array, filter, [&](json::Writer& out) {
      encode_catalog_service(out, *instance, host, api.options().datacenter);
    });
  }
  array.end_array();
  return body;
}

std::string encode_check_entries(Api& api, const std::vector<InstancePtr>& instances,
                                 const Filter& filter) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer array(body);
  array.begin_array();
  for (const InstancePtr& instance : instances)
    for (const registry::CheckState& check : instance->checks)
      write_row(array, filter,
                [&](json::Writer& out) { encode_check(out, *instance, check, host); });
  array.end_array();
  return body;
}

void answer_for_service(Api& api, http::Call call, Rows rows, Encode encode) {
  auto until = parse_blocking(api, call.request, label_of(call.rest));
  if (!until) return call.exchange.answer(text_error(400, until.error()));
  auto query = parse_query(call, rows);
  if (!query) return;
  api.answer_when(
      std::move(*until), std::move(call.exchange), [&api, encode, query = std::move(*query)] {
        return with_index(api, query.label, encode(api, find_instances(api, query), query.filter));
      });
}

/// The same for questions about everything; `body` makes the body when the query is answered, and
/// `nothing` is the body for those who ask for hosts with metadata, which ours have not.
template <class Body>
void answer_for_everything(Api& api, http::Call call, Rows rows, std::string_view nothing,
                           Body body) {
  auto until = parse_blocking(api, call.request, {});
  if (!until) return call.exchange.answer(text_error(400, until.error()));
  auto filter = parse_filter_of(call, rows);
  if (!filter) return;
  const bool none = asks_for_node_meta(call.request.target);
  api.answer_when(std::move(*until), std::move(call.exchange),
                  [&api, none, nothing, filter = std::move(*filter), body = std::move(body)] {
                    return with_index(api, {}, none ? std::string(nothing) : body(api, filter));
                  });
}

/// Whether the row of an instance in the catalog is wanted.
bool wants_of_catalog(Api& api, const registry::Instance& instance, const Filter& filter) {
  if (filter.all()) return true;
  std::string row;
  json::Writer out(row);
  encode_catalog_service(out, instance, api.control().host(), api.options().datacenter);
  return filter.wants(row);
}

std::string encode_service_names(Api& api, const Filter& filter) {
  const registry::Registry& registry = api.control().registry();
  std::string body;
  json::Writer out(body);
  out.begin_object();
  // Every Consul has this entry, and some clients take an empty map for an error.
  if (filter.all()) out.key("consul").begin_array().end_array();
  for (const std::string& label : registry.services()) {
    std::set<std::string> tags;
    std::string name;
    for (const InstancePtr& instance : registry.instances(label)) {
      if (!wants_of_catalog(api, *instance, filter)) continue;
      name = instance->service.text();
      for (std::string& tag : tags_of(*instance))
        tags.insert(std::move(tag));
    }
    if (name.empty() || label == "consul") continue;
    out.key(name).begin_array();
    for (const std::string& tag : tags)
      out.value(tag);
    out.end_array();
  }
  out.end_object();
  return body;
}

/// Hosts, this one first, each with the address of one of its instances.
std::string encode_nodes(Api& api, const Filter& filter) {
  const HostView host = api.control().host();
  std::map<std::string, std::string> others;
  for (const std::string& label : api.control().registry().services())
    for (const InstancePtr& instance : api.control().registry().instances(label))
      others.emplace(node_of(*instance, host), address_of(*instance, host));
  const std::string here = own_node(host);
  others.erase(here);
  std::string body;
  json::Writer out(body);
  out.begin_array();
  const auto add = [&](const std::string& name, const std::string& address) {
    write_row(out, filter, [&](json::Writer& row) {
      encode_node(row, name, address, api.options().datacenter);
    });
  };
  add(here, host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string());
  for (const auto& [name, address] : others)
    add(name, address);
  out.end_array();
  return body;
}

/// Instances of all services that `wanted` accepts.
template <class Wanted>
std::vector<InstancePtr> find_in_all_services(Api& api, Wanted wanted) {
  std::vector<InstancePtr> out;
  for (const std::string& label : api.control().registry().services()) {
    for (InstancePtr& instance : api.control().registry().instances(label))
      if (wanted(*instance)) out.push_back(std::move(instance));
  }
  return out;
}

std::string encode_checks_in_state(Api& api, std::string_view state, const Filter& filter) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer array(body);
  array.begin_array();
  for (const InstancePtr& instance : find_in_all_services(api, [](const auto&) { return true; })) {
    for (const registry::CheckState& check : instance->checks)
      if (state == "any" || state == consul::status_of(check.health))
        write_row(array, filter,
                  [&](json::Writer& out) { encode_check(out, *instance, check, host); });
  }
  array.end_array();
  return body;
}

void list_checks_in_state(Api& api, http::Call call) {
  std::string state(call.rest);
  if (state != "any" && state != "passing" && state != "warning" && state != "critical") {
    return call.exchange.answer(
        text_error(400, "Unsupported state: expected any, passing, warning or critical"));
  }
  answer_for_everything(api, std::move(call), Rows::checks, "[]",
                        [state = std::move(state)](Api& a, const Filter& filter) {
                          return encode_checks_in_state(a, state, filter);
                        });
}

void list_checks_of_node(Api& api, http::Call call) {
  std::string node(call.rest);
  answer_for_everything(api, std::move(call), Rows::checks, "[]",
                        [node = std::move(node)](Api& a, const Filter& filter) {
                          const HostView host = a.control().host();
                          const auto on_it = [&](const registry::Instance& instance) {
                            return node_of(instance, host) == node;
                          };
                          return encode_check_entries(a, find_in_all_services(a, on_it), filter);
                        });
}

void list_health_entries(Api& api, http::Call call) {
  answer_for_service(api, std::move(call), Rows::health, encode_health_entries);
}

void list_checks_of_service(Api& api, http::Call call) {
  answer_for_service(api, std::move(call), Rows::checks, encode_check_entries);
}

void list_catalog_entries(Api& api, http::Call call) {
  answer_for_service(api, std::move(call), Rows::catalog, encode_catalog_entries);
}

void list_service_names(Api& api, http::Call call) {
  answer_for_everything(api, std::move(call), Rows::catalog, "{}", encode_service_names);
}

void list_nodes(Api& api, http::Call call) {
  answer_for_everything(api, std::move(call), Rows::nodes, "[]", encode_nodes);
}

void list_datacenters(Api& api, http::Call call) {
  http::Answer answer;
  json::Writer(answer.body).begin_array().value(api.options().datacenter).end_array();
  call.exchange.answer(std::move(answer));
}

void show_leader(Api&, http::Call call) {
  call.exchange.answer(http::json_answer("\"127.0.0.1:8300\""));
}

void list_peers(Api&, http::Call call) {
  call.exchange.answer(http::json_answer("[\"127.0.0.1:8300\"]"));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kBlocking[] = {
    {"filter", "only what this expression holds for"},
    {"node-meta", "KEY:VALUE: only hosts with this metadata, of which there are none"},
    {"index", "wait until X-Consul-Index differs from this"},
    {"wait", "how long at most, such as 30s; default: 5m"},
    {"dc", "the datacenter; any but the agent's is an error"},
};
constexpr Parameter kService[] = {
    {"passing", "only instances whose checks all pass"},
    {"tag", "only instances with this tag; if repeated, with all of them"},
    {"filter", "only what this expression holds for"},
    {"node-meta", "KEY:VALUE: only hosts with this metadata, of which there are none"},
    {"near", "_agent: the nearest instances first"},
    {"index", "wait until X-Consul-Index differs from this"},
    {"wait", "how long at most, such as 30s; default: 5m"},
    {"dc", "the datacenter; any but the agent's is an error"},
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/health/service/{service}", list_health_entries, Effect::reads,
     "List instances of a service with their checks", kService},
    {"GET", "/v1/health/checks/{service}", list_checks_of_service, Effect::reads,
     "List the checks of a service", kService},
    {"GET", "/v1/health/state/{state}", list_checks_in_state, Effect::reads,
     "List checks in a state: any, passing, warning or critical", kBlocking},
    {"GET", "/v1/health/node/{node}", list_checks_of_node, Effect::reads,
     "List the checks of a host", kBlocking},
    {"GET", "/v1/catalog/datacenters", list_datacenters, Effect::reads,
     "List datacenters: the agent's"},
    {"GET", "/v1/catalog/nodes", list_nodes, Effect::reads, "List hosts", kBlocking},
    {"GET", "/v1/catalog/services", list_service_names, Effect::reads,
     "List the names of services with their tags", kBlocking},
    {"GET", "/v1/catalog/service/{service}", list_catalog_entries, Effect::reads,
     "List instances of a service", kService},
    {"GET", "/v1/status/leader", show_leader, Effect::reads, "Show a leader, for old clients"},
    {"GET", "/v1/status/peers", list_peers, Effect::reads, "List servers, for old clients"},
};

}  // namespace

void add_consul_catalog_routes(Api& api) {
  api.router().add(kRoutes);
}

}  // namespace outrider::doors
