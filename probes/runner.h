// SPDX-License-Identifier: Apache-2.0
// Runs checks over time: one probe of a check at a time, ±10 % jitter, a limit on the probes in
// flight. The sink gets every outcome, and every change of a check's health.
//
// Heartbeats (TtlCheck) and aliases are not probed: renew() and set_instance_health() give them
// their outcomes, which count at once and are not damped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/health.h"
#include "probes/check.h"

namespace outrider::probes {

inline constexpr std::size_t kProbesInFlightMax = 256;
/// A clock that jumped by more than this means that the machine was suspended.
inline constexpr Duration kSuspendNoticed = std::chrono::seconds(2);
/// A timer that fires later than this means that the process was stopped or starved, and that an
/// answer or a heartbeat may be waiting unread: the check gets kLateGrace more, once.
inline constexpr Duration kLateNoticed = std::chrono::milliseconds(100);
inline constexpr Duration kLateGrace = std::chrono::seconds(1);
/// When a probe that could not be made, for want of a descriptor, is tried again.
inline constexpr Duration kNotProbedRetry = std::chrono::milliseconds(250);

struct CheckStatus {
  CheckHealth health = CheckHealth::starting;
  std::vector<Outcome> outcomes;  // newest first, at most kOutcomesKept
  std::vector<Tick> ticks;        // the same, at most kTicksKept
  std::uint32_t successes = 0, failures = 0;
  bool flapping = false;
  TimePoint next;  // when the next probe is due
};

class Runner {
 public:
  class Sink {
   public:
    /// The health of a check changed. May add and remove checks, this one included.
    virtual void on_health(const CheckKey& check, CheckHealth health, const Outcome& last) = 0;
    /// Every outcome of a probe, heartbeat or alias, with the health that follows from it; after
    /// on_health. May add and remove checks. Runs for each probe: keep it cheap.
    virtual void on_outcome(const CheckKey&, CheckHealth, const Outcome&) {}

   protected:
    ~Sink() = default;
  };

  Runner(Env& env, Sink& sink);
  ~Runner();

  /// The first probe starts within min(interval/10, 500 ms). Returns false, with the reason in
  /// `why`: kChecksMax is reached, the key is taken, the check is invalid, or the module that it
  /// needs is not installed.
  bool add(const CheckSpec& spec, std::string* why = nullptr);
  void remove(const CheckKey& key);
  /// Replaces the check's own intervals (back-off of a dropped registration); nullopt restores
  /// them.
  void set_interval(const CheckKey& key, std::optional<Duration> interval);
  /// The service of this check is restarting: start_interval applies again for start_timeout.
  void restart(const CheckKey& key);
  /// Probes now instead of at the next due time.
  void probe_now(const CheckKey& key);
  /// A heartbeat of a TTL check. Returns false for any other check. Calls the sink before it
  /// returns.
  bool renew(const CheckKey& key, Outcome outcome);
  /// The outcome for every alias check of that instance; call it again after adding one. An
  /// instance that is starting again fails its aliases. Calls the sink before it returns.
  void set_instance_health(const std::string& instance_id, CheckHealth health);
  /// The machine was suspended: resets counts, probes everything again, and gives heartbeats their
  /// full TTL. The runner detects a suspend before its next probe or outcome; a caller that knows
  /// earlier may call this.
  void resume();

  std::optional<CheckStatus> status(const CheckKey& key) const;
  /// Of what its last kTicksKept probes took; nothing before the first, and for heartbeats.
  std::optional<Duration> median(const CheckKey& key) const;
  std::size_t size() const;
  std::size_t in_flight() const;
  /// Number of checks that change so often that they need more passes to recover.
  std::size_t flapping() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::probes
