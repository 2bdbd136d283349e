// SPDX-License-Identifier: Apache-2.0
// When the next probe of a check is due, as pure arithmetic: from start to start, with a jitter of
// kJitterPercent, faster while the service starts and while outcomes count towards a change.
#pragma once

#include <optional>

#include "base/random.h"
#include "probes/check.h"

namespace outrider::probes {

inline constexpr int kJitterPercent = 10;
inline constexpr Duration kFirstDelayMax = std::chrono::milliseconds(500);
/// After a probe that took longer than its period the target rests at least a tenth of the
/// period, and at most so long.
inline constexpr Duration kRestMax = std::chrono::milliseconds(250);
/// Checks with periods of a second and more are due at multiples of this, so that they share
/// wake-ups: ten at once where there are 10,000 with 10 s each.
inline constexpr Duration kDueGrid = std::chrono::milliseconds(10);
inline constexpr Duration kDueGridFrom = std::chrono::seconds(1);

class Schedule {
 public:
  Schedule(const CheckTiming& timing, TimePoint begun) : timing_(timing), begun_(begun) {}

  const CheckTiming& timing() const { return timing_; }

  /// Spreads checks that are added together: within min(interval / 10, kFirstDelayMax).
  TimePoint first(TimePoint now, Random& random) const;

  /// The pass that ends the start phase; later ones change nothing.
  void note_pass() { passed_ = true; }
  /// The service starts anew: probe fast again for at most start_timeout.
  void restart(TimePoint now);
  /// Takes the place of every interval of the check; nullopt gives them back.
  void set_override(std::optional<Duration> interval) { override_ = interval; }

  /// From the start of one probe to the start of the next, before jitter.
  Duration period(TimePoint now, bool counting) const;
  /// For a probe that ran from `started` to `ended`.
  TimePoint next(TimePoint started, TimePoint ended, bool counting, Random& random) const;

 private:
  CheckTiming timing_;
  TimePoint begun_;
  std::optional<Duration> override_;
  bool passed_ = false;
};

}  // namespace outrider::probes
