// SPDX-License-Identifier: Apache-2.0
// /v1/catalog/nodes, /v1/catalog/node/*, /v1/health/node/*: hosts, each with the address of one of
// its instances, and what is on them. This host comes first. An unknown host has nothing on it; a
// query with its index waits until it appears.
#include <algorithm>
#include <map>
#include <set>

#include "agent/doors/consul/consul.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using namespace consul;
using registry::HostView;
using registry::InstancePtr;

/// What is known of a host; no address if it is unknown.
struct OneNode {
  std::string name, address;
  std::vector<InstancePtr> instances;
};

OneNode find_node(Api& api, std::string name) {
  const HostView host = api.control().host();
  OneNode node{.name = std::move(name)};
  const bool here = node.name == own_node(host);
  if (here) node.address = own_address(host);
  for (InstancePtr& instance : all_instances(api.control().registry())) {
    if (node_of(*instance, host) != node.name) continue;
    if (node.address.empty()) node.address = address_of(*instance, host);
    node.instances.push_back(std::move(instance));
  }
  return node;
}

std::string encode_nodes(Api& api, const Filter& filter) {
  const HostView host = api.control().host();
  std::map<std::string, std::string> others;
  for (const InstancePtr& instance : all_instances(api.control().registry()))
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
  add(here, own_address(host));
  for (const auto& [name, address] : others)
    add(name, address);
  out.end_array();
  return body;
}

bool is_known(const OneNode& node) {
  return !node.address.empty() || !node.instances.empty();
}

/// Services by id. Ids are unique at one agent, but a host may have several agents.
std::string encode_node_with_map(Api& api, const std::string& name, const Filter& filter) {
  const OneNode node = find_node(api, name);
  if (!is_known(node)) return "null";
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_object().key("Node");
  encode_node(out, node.name, node.address, api.options().datacenter);
  out.key("Services").begin_object();
  std::set<std::string> taken;
  for (const InstancePtr& instance : node.instances) {
    std::string key = instance->id.text();
    if (!taken.insert(key).second) key = instance->service.text() + ':' + key;
    write_row(out, filter, key, [&](json::Writer& row) { encode_service(row, *instance, host); });
    taken.insert(std::move(key));
  }
  out.end_object().end_object();
  return body;
}

std::string encode_node_with_list(Api& api, const std::string& name, const Filter& filter) {
  const OneNode node = find_node(api, name);
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_object().key("Node");
  if (is_known(node))
    encode_node(out, node.name, node.address, api.options().datacenter);
  else
    out.null();
  out.key("Services").begin_array();
  for (const InstancePtr& instance : node.instances)
    write_row(out, filter, [&](json::Writer& row) { encode_service(row, *instance, host); });
  out.end_array().end_object();
  return body;
}

std::string encode_checks_of_node(Api& api, const std::string& name, const Filter& filter) {
  const HostView host = api.control().host();
  std::string body;
  json::Writer out(body);
  out.begin_array();
  if (const InstancePtr here = node_in(api.control().registry()); name == own_node(host))
    for (const CheckEntry& check : node_checks_of(*here))
      write_row(out, filter, [&](json::Writer& row) { encode_check(row, check, *here, host); });
  for (const InstancePtr& instance : find_node(api, name).instances)
    for (const CheckEntry& check : checks_of(*instance))
      write_row(out, filter, [&](json::Writer& row) { encode_check(row, check, *instance, host); });
  out.end_array();
  return body;
}

void list_nodes(Api& api, http::Call call) {
  answer_for_everything(api, std::move(call), Rows::nodes, "[]", encode_nodes);
}

template <std::string (*encode)(Api&, const std::string&, const Filter&)>
void answer_for_node(Api& api, http::Call call, Rows rows, std::string_view nothing) {
  std::string name(call.rest);
  answer_for_everything(
      api, std::move(call), rows, nothing,
      [name = std::move(name)](Api& a, const Filter& filter) { return encode(a, name, filter); });
}

void list_checks_of_node(Api& api, http::Call call) {
  answer_for_node<encode_checks_of_node>(api, std::move(call), Rows::checks, "[]");
}

void show_node(Api& api, http::Call call) {
  answer_for_node<encode_node_with_map>(api, std::move(call), Rows::service, "null");
}

void show_node_services(Api& api, http::Call call) {
  answer_for_node<encode_node_with_list>(api, std::move(call), Rows::service,
                                         R"({"Node":null,"Services":[]})");
}

void list_datacenters(Api& api, http::Call call) {
  http::Answer answer;
  json::Writer(answer.body).begin_array().value(api.options().datacenter).end_array();
  call.exchange.answer(std::move(answer));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;

constexpr Route kRoutes[] = {
    {"GET", "/v1/health/node/{node}", list_checks_of_node, Effect::reads,
     "List the checks of a host", kBlocking, kNoBody, "ConsulChecks"},
    {"GET", "/v1/catalog/datacenters", list_datacenters, Effect::reads,
     "List datacenters: the agent's", http::kNoParameters, kNoBody, "ConsulTexts"},
    {"GET", "/v1/catalog/nodes", list_nodes, Effect::reads, "List hosts", kBlocking, kNoBody,
     "ConsulNodes"},
    {"GET", "/v1/catalog/node/{node}", show_node, Effect::reads,
     "Show a host and its services by id", kBlocking, kNoBody, "ConsulNodeWithMap"},
    {"GET", "/v1/catalog/node-services/{node}", show_node_services, Effect::reads,
     "Show a host and a list of its services", kBlocking, kNoBody, "ConsulNodeWithList"},
};

}  // namespace

void add_consul_node_routes(Api& api) {
  api.router().add(kRoutes, consul::refuse_parameters);
}

}  // namespace outrider::doors
