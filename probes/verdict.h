// SPDX-License-Identifier: Apache-2.0
// Hysteresis as a pure object: outcomes in, health out. facts: first result counts at once, then
// consecutive counts decide; one success resets the failure count and the other way round.
//
//   starting ─ first pass ▸ passing            starting ─ failures_before_critical fails ▸ critical
//   passing/warning ─ failures_before_warning ▸ warning ─ failures_before_critical ▸ critical
//   critical ─ success_before_passing passes (doubled while flapping) ▸ passing
#pragma once

#include <cstdint>
#include <deque>

#include "probes/probe.h"

namespace outrider::probes {

/// Order is by severity: the worst of several checks is their maximum.
enum class Health : std::uint8_t { passing, warning, starting, critical };
const char* to_string(Health health);

struct Thresholds {
  std::uint32_t success_before_passing = 2;
  std::uint32_t failures_before_warning = 1;
  std::uint32_t failures_before_critical = 3;
  bool refused_is_critical = false;  // ECONNREFUSED counts as failures_before_critical at once
};

inline constexpr unsigned kFlapChanges = 6;  // more than this many changes …
inline constexpr Duration kFlapWindow = std::chrono::seconds(60);  // … in this time is flapping
inline constexpr std::uint32_t kFlapSuccessesMax = 8;

class Verdict {
 public:
  explicit Verdict(const Thresholds& thresholds);

  Health health() const { return health_; }
  /// True while outcomes count towards a change: the next probe should come after edge_interval.
  bool counting() const;
  bool flapping() const { return penalty_ > 1; }
  std::uint32_t successes() const { return successes_; }
  std::uint32_t failures() const { return failures_; }
  /// Successes needed now to leave critical, the penalty for flapping included.
  std::uint32_t successes_needed() const;

  /// Takes one outcome at `now`; returns true if health() changed.
  bool step(const Outcome& outcome, TimePoint now);
  /// After a suspend or a restart of the instance: counts are forgotten, health stays.
  void reset_counts();

 private:
  bool change(Health to, TimePoint now);

  Thresholds thresholds_;
  Health health_ = Health::starting;
  bool decided_ = false;
  std::uint32_t successes_ = 0, failures_ = 0, warnings_ = 0;
  std::uint32_t penalty_ = 1;
  std::deque<TimePoint> changes_;  // within kFlapWindow, at most kFlapChanges + 1
};

}  // namespace outrider::probes
