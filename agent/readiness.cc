// SPDX-License-Identifier: Apache-2.0
#include "agent/readiness.h"

#include <algorithm>

#include "base/text.h"

namespace outrider {

Readiness::Readiness(Env& env, const LifecycleConfig& config, const registry::Registry& registry,
                     const Lan& lan, const ServiceDns& service_dns)
    : env_(env), config_(config), registry_(registry), lan_(lan), service_dns_(service_dns) {}

void Readiness::start() {
  waiting_ = true;
  patience_timer_ = env_.after(kReadyPatience, [this] {
    out_of_patience_ = true;
    check();
  });
  check();
}

void Readiness::give_up() {
  waiting_ = false;
  patience_timer_.reset();
}

void Readiness::close() {
  summary_timer_.reset();
  summary_callback_ = nullptr;
}

void Readiness::update() {
  check();
  report_summary();
}

void Readiness::when_ready(Callback<void()> callback) {
  ready_callback_ = std::move(callback);
  check();
}

bool Readiness::has_become_ready() const {
  if (!service_dns_.tried_all()) return false;
  if (!lan_.is_settled() && !out_of_patience_) return false;
  if (!config_.ready_when_healthy) return true;
  const auto own = registry_.own();
  return std::ranges::all_of(own, [](const auto& instance) { return instance->served(); });
}

void Readiness::check() {
  if (!waiting_ || !has_become_ready()) return;
  waiting_ = false;
  ready_ = true;
  patience_timer_.reset();
  env_.log.record(LogEvent::agent_ready, {{"host", registry_.host_name()}, {"state", summary()}});
  if (auto callback = std::exchange(ready_callback_, nullptr)) callback();
}

std::string Readiness::summary() const {
  const auto own = registry_.own();
  const auto served =
      std::ranges::count_if(own, [](const auto& instance) { return instance->served(); });
  std::string out = counted(registry_.service_count(), "service") + ", " +
                    counted(registry_.instance_count(), "instance") +
                    "; own: " + std::to_string(served) + " of " + std::to_string(own.size()) +
                    " served; DNS ";
  if (service_dns_.bound().empty()) return out + "not bound";
  out += "on";
  for (const Endpoint& endpoint : service_dns_.bound())
    out += ' ' + endpoint.to_string();
  return out;
}

void Readiness::on_summary(std::function<void(const std::string&)> callback) {
  summary_callback_ = std::move(callback);
  report_summary();
}

void Readiness::report_summary() {
  if (!summary_callback_ || summary_timer_.pending()) return;
  std::string text = summary();
  if (text == last_summary_) return;
  last_summary_ = std::move(text);
  summary_callback_(last_summary_);
  summary_timer_ = env_.after(kSummaryPace, [this] {
    summary_timer_.reset();
    report_summary();
  });
}

}  // namespace outrider
