// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/doors/actions.h"
#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {
namespace {

bool is_ttl(const registry::CheckState& check) {
  return std::holds_alternative<TtlCheck>(check.spec.kind);
}

void answer_heartbeat(Api& api, http::Call call, CheckHealth health) {
  const std::string note(call.request.target.get("note"));
  const Control::Done done = report_check(api.control(), call.rest, health, note);
  if (!done && (done.error() == registry::RegistryError::unknown_check ||
                done.error() == registry::RegistryError::unknown_instance)) {
    const std::string name = '"' + std::string(call.rest) + '"';
    const auto instance = api.control().registry().find_own(call.rest);
    const auto beats = instance == nullptr ? 0 : std::ranges::count_if(instance->checks, is_ttl);
    return call.exchange.answer(http::error_answer(
        404, instance == nullptr
                 ? "no check " + name + "; /v1/outrider/checks lists the checks of this agent"
             : beats == 0
                 ? name + " has no TTL check; only TTL checks take heartbeats"
                 : name + " has " + std::to_string(beats) +
                       " TTL checks; name one as service:" + std::string(call.rest) + ":CHECK"));
  }
  answer_done(done, call.rest, std::move(call.exchange));
}

}  // namespace

void list_checks(Api& api, http::Call call) {
  Api::List list;
  list.instances = api.control().registry().own();
  list.begin = [](json::Writer& out) { out.begin_object().key("checks").begin_array(); };
  list.row = [](json::Writer& out, const registry::Instance& instance) {
    for (const registry::CheckState& check : instance.checks) {
      out.begin_object();
      out.member("check", check_key(instance.id.text(), check.spec));
      out.member("instance", instance.id.text()).member("service", instance.service.text());
      out.member("id", check.spec.id).member("kind", kind_name(check.spec));
      out.member("health", to_string(check.health)).member("output", check.output);
      out.member("since", format_wall_time(check.since.wall));
      if (facts_of(check.spec.kind).has_target)
        out.member("interval", format_duration(check.spec.timing.interval));
      out.end_object();
    }
  };
  list.end = [](json::Writer& out) { out.end_array().end_object(); };
  api.answer_list(std::move(call.exchange), std::move(list));
}

void pass_check(Api& api, http::Call call) {
  answer_heartbeat(api, std::move(call), CheckHealth::passing);
}

void warn_check(Api& api, http::Call call) {
  answer_heartbeat(api, std::move(call), CheckHealth::warning);
}

void fail_check(Api& api, http::Call call) {
  answer_heartbeat(api, std::move(call), CheckHealth::critical);
}

}  // namespace outrider::doors
