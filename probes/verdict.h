// SPDX-License-Identifier: Apache-2.0
// Hysteresis, pure: outcomes in, health out. The first answer ever counts at once, even after
// failures; from then on, consecutive counts decide. An answer resets the count of failures, and a
// failure the count of answers.
//
//   starting, never answered ─ first pass ▸ passing, first warn ▸ warning
//   starting ─ failures_before_critical fails ▸ critical
//   passing ─ failures_before_warning fails or warns ▸ warning
//   passing, warning ─ failures_before_critical fails ▸ critical
//   warning, critical ─ success_before_passing passes (doubled while flapping) ▸ passing
//   critical ─ as many answers, some of them warns ▸ warning
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/health.h"
#include "probes/probe.h"

namespace outrider::probes {

/// Whether a check that changes too often needs more passes to recover.
enum class FlapDamping : std::uint8_t { off, on };

inline constexpr unsigned kFlapChanges = 6;  // more than this many changes …
inline constexpr Duration kFlapWindow = std::chrono::seconds(60);  // … in this time is flapping
inline constexpr std::uint32_t kFlapSuccessesMax = 8;

class Verdict {
 public:
  explicit Verdict(const CheckThresholds& thresholds, FlapDamping damping = FlapDamping::on,
                   CheckHealth standing = CheckHealth::starting);

  CheckHealth health() const { return health_; }
  /// True while outcomes count towards a change: the next probe is due after edge_interval.
  bool counting() const;
  /// True until kFlapWindow has passed without a change.
  bool flapping() const { return penalty_ > 1; }
  std::uint32_t successes() const { return passes_; }
  std::uint32_t failures() const { return failures_; }
  /// Passes needed to recover, including the penalty for flapping.
  std::uint32_t successes_needed() const;

  /// Takes one outcome at `now`; returns true if health() changed.
  bool step(const Outcome& outcome, TimePoint now);
  /// After a suspend or a restart of the instance: resets the counts and keeps the health.
  void reset_counts();

 private:
  void count(const Outcome& outcome);
  CheckHealth judge(const Outcome& outcome) const;
  void forget_old_changes(TimePoint now);
  void note_change(TimePoint now);

  CheckThresholds thresholds_;
  FlapDamping damping_;
  CheckHealth health_ = CheckHealth::starting;
  // Consecutive outcomes of one sort; passes and warns are answers.
  std::uint32_t passes_ = 0, warns_ = 0, answers_ = 0, failures_ = 0;
  std::uint32_t penalty_ = 1;
  bool answered_ever_ = false;
  std::vector<TimePoint> changes_;  // within kFlapWindow, at most kFlapChanges + 1
};

}  // namespace outrider::probes
