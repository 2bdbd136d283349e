// SPDX-License-Identifier: Apache-2.0
// When the next probe of a check is due. Pure: intervals run from start to start, with a jitter of
// kJitterPercent, and are shorter while the service starts and while outcomes count towards a
// change of health.
#pragma once

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "probes/check.h"

namespace outrider::probes {

inline constexpr int kJitterPercent = 10;
inline constexpr Duration kFirstDelayMax = std::chrono::milliseconds(500);
/// After a probe that took longer than its period, the target rests for a tenth of the period, but
/// not for longer than this.
inline constexpr Duration kRestMax = std::chrono::milliseconds(250);
/// Checks with periods of a second and more are due at multiples of this, so that they share
/// wake-ups: 10,000 checks with 10 s each run ten at a time.
inline constexpr Duration kDueGrid = std::chrono::milliseconds(10);
inline constexpr Duration kDueGridFrom = std::chrono::seconds(1);

class Schedule {
 public:
  /// Whether outcomes currently count towards a change of health (Verdict::counting).
  enum class Phase : std::uint8_t { steady, counting };

  Schedule(const CheckTiming& timing, TimePoint started) : timing_(timing), started_(started) {}

  const CheckTiming& timing() const { return timing_; }

  /// A random time within min(interval / 10, kFirstDelayMax): spreads checks added together.
  TimePoint first(TimePoint now, Random& random) const;

  /// A probe passed: the first pass ends the start phase.
  void note_pass() { passed_ = true; }
  /// The service is starting again: start_interval applies for at most start_timeout.
  void restart(TimePoint now);
  /// Replaces every interval of the check; nullopt restores them.
  void set_override(std::optional<Duration> interval) { override_ = interval; }

  /// From the start of one probe to the start of the next, before jitter.
  Duration period(TimePoint now, Phase phase) const;
  /// For a probe that ran from `started` to `ended`.
  TimePoint next(TimePoint started, TimePoint ended, Phase phase, Random& random) const;

 private:
  CheckTiming timing_;
  TimePoint started_;
  std::optional<Duration> override_;
  bool passed_ = false;
};

}  // namespace outrider::probes
