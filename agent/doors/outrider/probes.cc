// SPDX-License-Identifier: Apache-2.0
// What is seen of services over time, but is no change of them: probes, and questions to DNS.
#include "agent/doors/outrider/handlers.h"
#include "base/wall_time.h"

namespace outrider::doors {
namespace {

double milliseconds(Duration time) {
  return static_cast<double>(time.count()) / 1e6;
}

void write_check(json::Writer& out, const registry::CheckState& check, const CheckReport& report,
                 std::optional<Duration> median) {
  out.begin_object().member("check", check.spec.id).member("kind", kind_name(check.spec));
  if (median) out.member("median_ms", milliseconds(*median));
  out.key("outcomes").begin_array();
  for (const ProbeTick& tick : report.ticks) {
    out.begin_object().member("at", format_wall_time(tick.wall)).member("kind", tick.kind);
    out.member("passed", tick.passed).member("latency_ms", milliseconds(tick.latency));
    out.end_object();
  }
  out.end_array().end_object();
}

/// Writes rows for a few services with each call.
struct ActivityWriter {
  const Control& control;
  std::vector<std::string> labels;
  std::size_t next = 0;
  std::unique_ptr<std::string> body = std::make_unique<std::string>();
  std::unique_ptr<json::Writer> out = std::make_unique<json::Writer>(*body);

  std::optional<http::Answer> operator()() {
    for (std::size_t cost = 0; cost < kRowsPerTurn && next < labels.size(); ++next)
      cost += write_row(labels[next]);
    if (next < labels.size()) return std::nullopt;
    out->end_array().end_object();
    return http::json_answer(std::move(*body) + '\n');
  }

 private:
  /// Returns how many instances were looked at.
  std::size_t write_row(const std::string& label) {
    const auto instances = control.registry().instances(label);
    const Control::Asked asked = control.asked(label);
    out->begin_object().member("label", label).member("queries", asked.times);
    if (asked.last)
      out->member("asked", format_wall_time(*asked.last)).member("asked_by", asked.by.to_string());
    std::optional<Duration> slowest;
    for (const registry::InstancePtr& instance : instances) {
      if (!instance->own()) continue;
      for (const registry::CheckState& check : instance->checks)
        if (const auto time = control.probe_time(instance->id.text(), check.spec.id))
          slowest = std::max(slowest.value_or(*time), *time);
    }
    if (slowest) out->member("probe_ms", milliseconds(*slowest));
    out->end_object();
    return instances.size() + 1;
  }
};

}  // namespace

void show_probes(Api& api, http::Call call) {
  const Control& control = api.control();
  const auto instance = control.registry().find_own(call.rest);
  if (instance == nullptr)
    return answer_done(failure(registry::RegistryError::unknown_instance), call.rest,
                       std::move(call.exchange));
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("instance", instance->id.text());
  out.member("service", instance->service.text()).key("checks").begin_array();
  for (const registry::CheckState& check : instance->checks)
    write_check(out, check, control.check_report(instance->id.text(), check.spec.id),
                control.probe_time(instance->id.text(), check.spec.id));
  out.end_array().end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

void probe_now(Api& api, http::Call call) {
  const auto checks = api.control().probe_now(call.rest);
  if (!checks) return answer_done(failure(checks.error()), call.rest, std::move(call.exchange));
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("probed").begin_array();
  for (const std::string& check : *checks)
    out.value(check);
  out.end_array().end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

void list_activity(Api& api, http::Call call) {
  const Control& control = api.control();
  ActivityWriter writer{.control = control, .labels = control.registry().services()};
  writer.out->begin_object().member("at", format_wall_time(control.now().wall));
  writer.out->member("started", format_wall_time(control.started()));
  writer.out->key("services").begin_array();
  if (control.registry().instance_count() <= kRowsAtOnce)
    if (auto answer = writer()) return call.exchange.answer(std::move(*answer));
  api.answer_in_turns(std::move(call.exchange), std::move(writer));
}

}  // namespace outrider::doors
