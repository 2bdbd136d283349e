// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/actions.h"
#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {
namespace {

void answer_heartbeat(Api& api, http::Call call, CheckHealth health) {
  const std::string note(call.request.target.get("note"));
  const Control::Done done = report_check(api.control(), call.rest, health, note);
  if (!done && (done.error() == registry::RegistryError::unknown_check ||
                done.error() == registry::RegistryError::unknown_instance)) {
    return call.exchange.answer(
        http::error_answer(404, "no check \"" + std::string(call.rest) +
                                    "\"; /v1/outrider/checks lists the checks of this agent"));
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
      out.member("interval", format_duration(check.spec.timing.interval)).end_object();
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
