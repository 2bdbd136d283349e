// SPDX-License-Identifier: Apache-2.0
#include "probes/schedule.h"

#include <algorithm>

namespace outrider::probes {

TimePoint Schedule::first(TimePoint now, Random& random) const {
  return now + random.between(Duration::zero(), std::min(timing_.interval / 10, kFirstDelayMax));
}

void Schedule::restart(TimePoint now) {
  begun_ = now;
  passed_ = false;
}

Duration Schedule::period(TimePoint now, bool counting) const {
  if (override_) return *override_;
  if (!passed_ && now - begun_ < timing_.start_timeout) {
    return std::min(timing_.start_interval, timing_.interval);
  }
  return counting ? std::min(timing_.edge_interval, timing_.interval) : timing_.interval;
}

TimePoint Schedule::next(TimePoint started, TimePoint ended, bool counting, Random& random) const {
  const Duration plain = period(ended, counting);
  const TimePoint due = started + random.jitter(plain, kJitterPercent);
  return std::max(due, ended + std::min(plain / 10, kRestMax));
}

}  // namespace outrider::probes
