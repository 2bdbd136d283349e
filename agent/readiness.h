// SPDX-License-Identifier: Apache-2.0
// What is reported to the service manager: once that the agent is ready, and a line of status after
// every change.
//
// Ready means: every DNS address is bound or was tried, and the first browse round is done or has
// used up kReadyPatience; with lifecycle.ready "healthy" also that every registration is served.
#pragma once

#include <functional>
#include <string>

#include "agent/config/config.h"
#include "agent/lan/lan.h"
#include "agent/registry/registry.h"
#include "agent/service_dns.h"
#include "base/env.h"

namespace outrider {

/// A link that does not come up delays READY no longer than this.
inline constexpr Duration kReadyPatience = std::chrono::seconds(5);
/// The line of status is reported at most once per this time.
inline constexpr Duration kSummaryPace = std::chrono::seconds(1);

class Readiness {
 public:
  /// Everything outlives it.
  Readiness(Env& env, const LifecycleConfig& config, const registry::Registry& registry,
            const Lan& lan, const ServiceDns& service_dns);

  void start();
  /// The agent leaves: it does not become ready any more.
  void give_up();
  /// No callback comes after this.
  void close();
  /// Something that either depends on may have changed.
  void update();

  bool is_ready() const { return ready_; }
  /// Called once, at the earliest from start() on.
  void when_ready(Callback<void()> callback);
  /// "2 services, 3 instances; own: 1 of 1 served; DNS on 127.0.0.55:5370".
  std::string summary() const;
  /// Called at once, then after every change of summary().
  void on_summary(std::function<void(const std::string&)> callback);

 private:
  bool has_become_ready() const;
  void check();
  void report_summary();

  Env& env_;
  const LifecycleConfig& config_;
  const registry::Registry& registry_;
  const Lan& lan_;
  const ServiceDns& service_dns_;
  bool waiting_ = false, ready_ = false;
  bool out_of_patience_ = false;
  Timer patience_timer_, summary_timer_;
  Callback<void()> ready_callback_;
  std::function<void(const std::string&)> summary_callback_;
  std::string last_summary_;
};

}  // namespace outrider
