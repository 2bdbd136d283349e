// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/doors/outrider/handlers.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using registry::InstancePtr;

/// Label names are [a-zA-Z_][a-zA-Z0-9_]*.
std::string label_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out += good ? c : '_';
  }
  return out;
}

}  // namespace

void select_instance(Api& api, http::Call call) {
  auto search = parse_search(api, call);
  if (!search) return;
  const std::string_view wanted = call.request.target.get("strategy");
  const auto strategy = wanted.empty() ? std::optional(registry::Strategy::round_robin)
                                       : registry::parse_strategy(wanted);
  if (!strategy) {
    std::string names;
    for (const std::string_view name : registry::strategy_names())
      names += (names.empty() ? "" : ", ") + std::string(name);
    return call.exchange.answer(http::error_answer(400, "strategy must be one of " + names));
  }
  const std::string_view key = call.request.target.get("key");
  if (*strategy == registry::Strategy::consistent_hash && key.empty())
    return call.exchange.answer(http::error_answer(
        400,
        "consistent_hash needs a key (?key=, --key): a text that identifies the caller, such "
        "as a user's id"));
  search->healthy = true;
  const registry::HostView host = api.control().host();
  std::vector<InstancePtr> found = find_instances(api.control().registry(), *search);
  std::erase_if(found, [](const InstancePtr& instance) { return instance->port == 0; });
  // p2c avoids instances with warnings by itself.
  if (*strategy != registry::Strategy::p2c) found = registry::prefer_passing(std::move(found));
  std::vector<registry::Candidate> candidates;
  std::vector<Endpoint> endpoints;
  for (const InstancePtr& instance : found) {
    const Endpoint endpoint{served_addresses(*instance, host).front(), instance->port};
    endpoints.push_back(endpoint);
    candidates.push_back({instance->id.text(), endpoint, instance->weight,
                          instance->health == registry::Health::warning});
  }
  const bool weighs =
      *strategy == registry::Strategy::p2c || *strategy == registry::Strategy::least_connections;
  const registry::Load load = weighs ? api.control().load(endpoints) : registry::Load{};
  const auto picked =
      api.selector().pick(search->name, *strategy, candidates, load, key, api.env().now());
  if (!picked) {
    const std::string why = api.control().registry().why(search->name);
    return call.exchange.answer(http::error_answer(404, "no usable instance of \"" +
                                                            std::string(call.rest) + "\"" +
                                                            (why.empty() ? "" : ": " + why)));
  }
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("service", found[*picked]->service.text());
  out.member("strategy", to_string(*strategy));
  out.member("candidates", static_cast<std::uint64_t>(candidates.size()));
  const std::string endpoint = endpoints[*picked].to_string();
  const std::string& protocol = found[*picked]->protocol;
  out.member("endpoint", endpoint);
  out.member("url", (protocol.empty() ? "tcp" : protocol) + "://" + endpoint);
  if (const auto known = load.find(endpoints[*picked]); known != load.end()) {
    out.member("connections", static_cast<std::uint64_t>(known->second.connections));
    out.member("rtt_ms", static_cast<double>(known->second.rtt.count()) / 1e6);
  }
  out.key("instance");
  write_instance(out, *found[*picked], host, {}, api.control().written_places(*found[*picked]));
  out.end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

namespace {

/// In the format of Prometheus' http_sd.
void write_target(json::Writer& out, const registry::Instance& instance, const IpAddress& address) {
  out.begin_object().key("targets").begin_array();
  out.value(Endpoint{address, instance.port}.to_string()).end_array();
  out.key("labels").begin_object();
  out.member("__meta_outrider_service", instance.service.text());
  out.member("__meta_outrider_instance", instance.id.text());
  out.member("__meta_outrider_health", to_string(instance.health));
  out.member("__meta_outrider_version", instance.version);
  out.member("__meta_outrider_protocol", instance.protocol);
  std::string tags = ",";
  for (const std::string& tag : instance.tags)
    tags += tag + ',';
  out.member("__meta_outrider_tags", tags);
  std::vector<std::string> taken;
  for (const auto& [key, value] : instance.metadata) {
    std::string name = "__meta_outrider_metadata_" + label_name(key);
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
    out.member(name, value);
    taken.push_back(std::move(name));
  }
  out.end_object().end_object();
}

}  // namespace

void list_scrape_targets(Api& api, http::Call call) {
  auto search = parse_search(api, call);
  if (!search) return;
  search->healthy = !is_set(call.request.target, "all");
  Api::List list;
  list.instances = find_instances(api.control().registry(), *search);
  list.begin = [](json::Writer& out) { out.begin_array(); };
  list.row = [host = api.control().host()](json::Writer& out, const registry::Instance& instance) {
    const std::vector<IpAddress> addresses = served_addresses(instance, host);
    if (!addresses.empty() && instance.port != 0) write_target(out, instance, addresses.front());
  };
  list.end = [](json::Writer& out) { out.end_array(); };
  api.answer_list(std::move(call.exchange), std::move(list));
}

}  // namespace outrider::doors
