// SPDX-License-Identifier: Apache-2.0
#include "agent/farewell.h"

#include <algorithm>

#include "base/rounded_duration.h"

namespace outrider {

Farewell::Farewell(Env& env, const registry::Registry& registry, Checks& checks, Sink& sink)
    : env_(env), registry_(registry), checks_(checks), sink_(sink) {}

void Farewell::begin(Duration drain_time, Callback<void()> after_drain, Callback<void()> done) {
  OUTRIDER_ASSERT(phase_ == Phase::running);
  const Duration wait = probe_programs(drain_time);
  phase_ = Phase::draining;
  after_drain_ = std::move(after_drain);
  done_ = std::move(done);
  sink_.on_drain();
  env_.log.record(LogEvent::agent_draining, {{"duration", format_rounded(wait)}});
  timer_ = env_.after(wait, [this] { close(); });
}

/// Looks at once whether the programs still run: a service manager also stops the agent because the
/// program has crashed, and starts it again when the agent has ended. Returns the longest wait.
Duration Farewell::probe_programs(Duration drain_time) {
  Duration wait{};
  for (const registry::InstancePtr& instance : registry_.own()) {
    const Duration left = drain_left(*instance, drain_time);
    wait = std::max(wait, left);
    if (left == Duration::zero()) continue;
    const auto probed = checks_.probe_now(*instance);
    drained_for_.insert(probed.begin(), probed.end());
    if (probed.empty()) drained_for_.insert({instance->id.text(), {}});
  }
  return wait;
}

/// How long clients may still hold the address. An instance that an operator took out before has a
/// part of its time behind it; one that failed its checks needs none.
Duration Farewell::drain_left(const registry::Instance& instance, Duration drain_time) const {
  if (instance.served()) return drain_time;
  const bool taken_out = instance.draining || instance.maintenance;
  if (!taken_out || instance.up.at == TimePoint{}) return Duration::zero();
  return std::max(Duration::zero(), instance.latest.at + drain_time - env_.now());
}

void Farewell::on_refused(const CheckKey& check) {
  if (drained_for_.erase(check) > 0 && drained_for_.empty()) hurry();
}

void Farewell::hurry() {
  if (phase_ == Phase::draining) timer_ = env_.after(Duration::zero(), [this] { close(); });
}

void Farewell::close() {
  phase_ = Phase::closing;
  if (auto callback = std::exchange(after_drain_, nullptr)) callback();
  sink_.on_close();
}

void Farewell::finish() {
  OUTRIDER_ASSERT(phase_ == Phase::closing);
  phase_ = Phase::closed;
  env_.log.record(LogEvent::agent_stopped);
  // Last: the owner may destroy the agent in it.
  auto callback = std::exchange(done_, nullptr);
  callback();
}

}  // namespace outrider
