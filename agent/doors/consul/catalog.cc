// SPDX-License-Identifier: Apache-2.0
// /v1/catalog/*, /v1/health/*: instances of all hosts, with blocking queries. An unknown service is
// an empty list with an index; a query with that index waits for its first instance.
#include <algorithm>
#include <set>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::doors {
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
/// filter or a flag is malformed.
std::optional<Query> parse_query(http::Call& call, Rows rows) {
  auto filter = parse_filter_of(call, rows);
  if (!filter) return std::nullopt;
  const auto passing = parse_flag(call.request.target, "passing");
  if (!passing) {
    call.exchange.answer(text_error(400, passing.error()));
    return std::nullopt;
  }
  Query query{.label = label_of(call.rest), .filter = std::move(*filter)};
  query.no_node = asks_for_node_meta(call.request.target);
  query.passing = *passing;
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
    if (instance->shadowed || (query.passing && !is_reachable(*instance))) return true;
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
  const InstancePtr node = node_in(api.control().registry());
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
      encode_checks(out, *instance, *node, host);
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
    for (const CheckEntry& check : checks_of(*instance))
      write_row(array, filter,
                [&](json::Writer& out) { encode_check(out, check, *instance, host); });
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

std::string encode_checks_in_state(Api& api, std::string_view state, const Filter& filter) {
  const HostView host = api.control().host();
  const InstancePtr node = node_in(api.control().registry());
  std::string body;
  json::Writer array(body);
  array.begin_array();
  const auto write = [&](const CheckEntry& check, const registry::Instance& instance) {
    if (state == "any" || state == check.status)
      write_row(array, filter,
                [&](json::Writer& out) { encode_check(out, check, instance, host); });
  };
  for (const CheckEntry& check : node_checks_of(*node))
    write(check, *node);
  for (const InstancePtr& instance : all_instances(api.control().registry()))
    for (const CheckEntry& check : checks_of(*instance))
      write(check, *instance);
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

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kService[] = {
    {"passing", "only instances whose checks all pass"},
    {"tag", "only instances with this tag; if repeated, with all of them",
     http::ParameterForm::list},
    {"filter", "only entries that match this expression"},
    {"node-meta", "KEY:VALUE: only hosts with this metadata, of which there are none",
     http::ParameterForm::list},
    {"index", "wait until X-Consul-Index differs from this"},
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/health/service/{service}", list_health_entries, Effect::reads,
     "List instances of a service with their checks", kService, kNoBody, "ConsulHealthEntries"},
    {"GET", "/v1/health/checks/{service}", list_checks_of_service, Effect::reads,
     "List the checks of a service", kService, kNoBody, "ConsulChecks"},
    {"GET", "/v1/health/state/{state}", list_checks_in_state, Effect::reads,
     "List checks in a state: any, passing, warning or critical", kBlocking, kNoBody,
     "ConsulChecks"},
    {"GET", "/v1/catalog/services", list_service_names, Effect::reads,
     "List the names of services with their tags", kBlocking, kNoBody, "ConsulServiceNames"},
    {"GET", "/v1/catalog/service/{service}", list_catalog_entries, Effect::reads,
     "List instances of a service", kService, kNoBody, "ConsulCatalogServices"},
};

}  // namespace

void add_consul_catalog_routes(Api& api) {
  api.router().add(kRoutes, consul::refuse_parameters);
}

}  // namespace outrider::doors
