// SPDX-License-Identifier: Apache-2.0
// How much of something a peer may still do: a token bucket; the caller brings the time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/http2/session.h"
#include "base/time.h"

namespace outrider::http2 {

class Allowance {
 public:
  explicit Allowance(AllowanceLimits limits) : limits_(limits), left_(limits.burst) {}

  /// False: it is exhausted.
  bool spend(TimePoint now) {
    refill(now);
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  void earn(std::uint32_t count) { left_ = std::min(left_ + count, limits_.burst); }

 private:
  void refill(TimePoint now) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - refilled_);
    if (seconds.count() <= 0) return;
    refilled_ = refilled_ + seconds;
    const auto most = static_cast<std::int64_t>(limits_.burst);
    earn(static_cast<std::uint32_t>(std::min<std::int64_t>(seconds.count(), most)) *
         limits_.per_second);
  }

  AllowanceLimits limits_;
  std::uint32_t left_;
  TimePoint refilled_{};
};

}  // namespace outrider::http2
