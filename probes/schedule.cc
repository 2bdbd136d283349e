// SPDX-License-Identifier: Apache-2.0
#include "probes/schedule.h"

#include <algorithm>

namespace outrider::probes {
namespace {

/// The next point of the grid towards the middle, so that the jitter stays within its bounds.
TimePoint on_grid(TimePoint due, TimePoint middle) {
  const Duration past = due.time_since_epoch() % kDueGrid;
  if (past == Duration::zero()) return due;
  return due > middle ? due - past : due - past + kDueGrid;
}

}  // namespace

TimePoint Schedule::first(TimePoint now, Random& random) const {
  return now + random.between(Duration::zero(), std::min(timing_.interval / 10, kFirstDelayMax));
}

void Schedule::restart(TimePoint now) {
  started_ = now;
  passed_ = false;
}

Duration Schedule::period(TimePoint now, Phase phase) const {
  if (override_) return *override_;
  if (!passed_ && now - started_ < timing_.start_timeout)
    return std::min(timing_.start_interval, timing_.interval);
  return phase == Phase::counting ? std::min(timing_.edge_interval, timing_.interval)
                                  : timing_.interval;
}

TimePoint Schedule::next(TimePoint started, TimePoint ended, Phase phase, Random& random) const {
  const Duration plain = period(ended, phase);
  TimePoint due = started + random.jitter(plain, kJitterPercent);
  if (plain >= kDueGridFrom) due = on_grid(due, started + plain);
  return std::max(due, ended + std::min(plain / 10, kRestMax));
}

}  // namespace outrider::probes
