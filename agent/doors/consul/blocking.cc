// SPDX-License-Identifier: Apache-2.0
// What the routes share: parameters of queries and headers of answers.
#include <algorithm>

#include "agent/doors/consul/consul.h"
#include "base/text.h"

namespace outrider::doors::consul {

http::Answer text_error(int status, std::string_view why) {
  return http::text_answer(status, std::string(why));
}

std::optional<bool> parse_go_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

Result<bool, std::string> parse_flag(const http::Target& target, std::string_view key) {
  if (!target.has(key)) return false;
  const std::string_view value = target.get(key);
  if (value.empty()) return true;
  if (const auto flag = parse_go_bool(value)) return *flag;
  return failure("Invalid value for ?" + std::string(key) + ": expected true or false, not \"" +
                 std::string(value) + '"');
}

Result<Duration, std::string> parse_wait(Api& api, const http::Target& target) {
  Duration wait = kWaitDefault;
  if (const std::string_view text = target.get("wait"); !text.empty()) {
    const auto duration = parse_go_duration(text);
    if (!duration) return failure(std::string("Invalid wait time: expected one such as 30s or 5m"));
    if (*duration > Duration::zero()) wait = std::min(*duration, kWaitMax);
  }
  // Jitter, so that clients that started together do not return together.
  return wait + api.env().random.between(Duration::zero(), wait / 16);
}

namespace {

/// Consul's agent endpoints ignore the datacenter: an agent is in one only.
bool has_datacenter(std::string_view path) {
  return path.starts_with("/v1/catalog/") || path.starts_with("/v1/health/");
}

/// What is wrong with a parameter that every route has; empty: nothing.
std::string wrong_common(const Api& api, const http::ServerRequest& request) {
  const http::Target& target = request.target;
  const std::string_view dc = target.get("dc");
  if (!dc.empty() && dc != api.options().datacenter && has_datacenter(request.path))
    return "No path to datacenter \"" + std::string(dc) + "\": this agent's is \"" +
           api.options().datacenter + '"';
  for (const std::string_view key : {"ns", "partition"})
    if (const std::string_view value = target.get(key); !value.empty() && value != "default")
      return "Invalid query parameter \"" + std::string(key) + "\": only \"default\" is known";
  if (target.has("stale") && target.has("consistent"))
    return "Cannot specify ?stale with ?consistent, conflicting semantics.";
  return {};
}

/// What Consul has and the agent does not; empty: nothing.
std::string unsupported(const http::Target& target) {
  for (const std::string_view key : {"peer", "sg", "connect", "ingress", "segment"})
    if (target.has(key) && target.get(key) != "false")
      return "Invalid query parameter \"" + std::string(key) + "\": it is not supported";
  return {};
}

}  // namespace

std::optional<http::Answer> refuse_parameters(Api& api, const http::ServerRequest& request,
                                              const Route& route) {
  std::string why = wrong_common(api, request);
  if (why.empty()) why = unsupported(request.target);
  if (why.empty())
    why = http::wrong_parameter(request.target, route.parameters, kCommonParameters).value_or("");
  if (why.empty()) return std::nullopt;
  return text_error(400, why);
}

Result<Api::Until, std::string> parse_blocking(Api& api, const http::ServerRequest& request,
                                               std::string service_label) {
  Api::Until until;
  const auto wait = parse_wait(api, request.target);
  if (!wait) return failure(wait.error());
  const std::string_view index = request.target.get("index");
  if (index.empty()) return until;
  const auto number = parse_number<std::uint64_t>(index);
  if (!number) return failure(std::string("Invalid index: expected a number"));
  until.keys.push_back({std::move(service_label), *number});
  until.wait = *wait;
  return until;
}

std::optional<Filter> parse_filter_of(http::Call& call, Rows rows) {
  auto filter = Filter::parse(call.request.target.get("filter"), rows);
  if (filter) return std::move(*filter);
  call.exchange.answer(text_error(400, filter.error()));
  return std::nullopt;
}

bool asks_for_node_meta(const http::Target& target) {
  return std::ranges::any_of(target.query, [](const auto& parameter) {
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

std::vector<registry::InstancePtr> all_instances(const registry::Registry& registry) {
  std::vector<registry::InstancePtr> all;
  for (const std::string& label : registry.services())
    std::ranges::move(registry.instances(label), std::back_inserter(all));
  std::erase_if(all, [](const registry::InstancePtr& instance) { return instance->shadowed; });
  return all;
}

registry::InstancePtr node_in(const registry::Registry& registry) {
  return registry.find_own(registry::kNodeId);
}

}  // namespace outrider::doors::consul
