// SPDX-License-Identifier: Apache-2.0
// What ends by time alone: registrations that were critical for too long, stale sightings,
// remembered names, and registrations whose heartbeats stopped. The registry knows when each is
// due; this class owns the timers and decides with Heartbeats which silent registrations are
// evicted.
//
//   Agent::apply ▸ apply, arm ▸ timer ▸ Registry::expire, Registry::drop ▸ Changes ▸ Agent::apply
#pragma once

#include <functional>
#include <string_view>

#include "agent/doors/metrics.h"
#include "agent/registry/heartbeats.h"
#include "agent/registry/registry.h"
#include "base/env.h"
#include "base/json.h"

namespace outrider {

class Evictor {
 public:
  using Apply = std::function<void(registry::Changes)>;
  /// `apply` is given what has ended. It is called by timers only.
  Evictor(Env& env, registry::Registry& registry, Apply apply);

  /// Follows a change of a registration: which heartbeats are expected.
  void apply(const registry::Change& change);
  void on_heartbeat(std::string_view instance_id);
  /// After every change of the registry: sets the timers for what is due next.
  void arm();
  /// Nothing is evicted from here on.
  void stop();

  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  void expire();
  void evict();
  void set(Timer& timer, std::optional<TimePoint> due, void (Evictor::*action)());
  registry::Moment now() const { return {env_.now(), env_.clock.wall()}; }

  Env& env_;
  registry::Registry& registry_;
  Apply apply_;
  registry::Heartbeats heartbeats_;
  Timer expiry_timer_, eviction_timer_;
  TimePoint next_eviction_{};  // no round before
  bool stopped_ = false;
};

}  // namespace outrider
