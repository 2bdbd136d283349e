// SPDX-License-Identifier: Apache-2.0
// The end of an agent, arranged so that no client keeps an address that no longer answers:
//
//   running ─ begin ▸ draining ─ time over, hurry, or programs gone ▸ closing ─ finish ▸ closed
//
// While draining, the agent's registrations are out of DNS and off the link, and queries for other
// services are still answered. It lasts until every client has forgotten the addresses: the drain
// time, counted from when a registration was served last. It ends early when the programs behind
// all registrations refuse connections, since nothing is left to drain for.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "agent/checks.h"
#include "agent/registry/registry.h"
#include "base/env.h"

namespace outrider {

class Farewell {
 public:
  class Sink {
   public:
    /// Take all registrations out of DNS, the link and the gateways; keep answering for others.
    virtual void on_drain() = 0;
    /// Close everything, then call finish(), not before this has returned.
    virtual void on_close() = 0;

   protected:
    ~Sink() = default;
  };

  /// Everything outlives it.
  Farewell(Env& env, const registry::Registry& registry, Checks& checks, Sink& sink);

  /// Once. Calls on_drain() before it returns. `after_drain` (optional) is called when the drain is
  /// over and before on_close(); `done` is called last and may destroy the agent.
  void begin(Duration drain_time, Callback<void()> after_drain, Callback<void()> done);
  /// Ends the drain at once; without one, does nothing.
  void hurry();
  /// A probe found no listener where a check asks.
  void on_refused(const CheckKey& check);
  /// The last call: everything is closed.
  void finish();

  bool has_begun() const { return phase_ != Phase::running; }
  /// The drain is over: nothing may be opened any more.
  bool has_closed() const { return phase_ == Phase::closing || phase_ == Phase::closed; }

 private:
  enum class Phase : std::uint8_t { running, draining, closing, closed };
  Duration probe_programs(Duration drain_time);
  Duration drain_left(const registry::Instance& instance, Duration drain_time) const;
  void close();

  Env& env_;
  const registry::Registry& registry_;
  Checks& checks_;
  Sink& sink_;
  Phase phase_ = Phase::running;
  /// Checks of the programs that may still have clients; an empty check id: a program without.
  std::set<CheckKey> drained_for_;
  Timer timer_;
  Callback<void()> after_drain_, done_;
};

}  // namespace outrider
