// SPDX-License-Identifier: Apache-2.0
// When an engine tries again to reach its servers.
#pragma once

#include <algorithm>

#include "base/random.h"
#include "base/time.h"

namespace outrider::registries {

/// Between tries of all servers, doubled from one to the next, ±50 %.
inline constexpr Duration kBackOffMin = std::chrono::milliseconds(200);
inline constexpr Duration kBackOffMax = std::chrono::seconds(10);
/// What worked for this long starts the back-off again.
inline constexpr Duration kBackOffReset = std::chrono::seconds(30);

/// When to try again: at once until all servers have been tried, then after a while.
class BackOff {
 public:
  Duration next(Random& random, std::size_t servers) {
    if (at_once_ < (waited_ ? servers - 1 : servers)) {
      ++at_once_;
      return Duration::zero();
    }
    at_once_ = 0;
    waited_ = true;
    const Duration wait = random.jitter(wait_, 50);
    wait_ = std::min(wait_ * 2, kBackOffMax);
    return wait;
  }
  void reset() { *this = {}; }

 private:
  std::size_t at_once_ = 0;
  bool waited_ = false;
  Duration wait_ = kBackOffMin;
};

}  // namespace outrider::registries
