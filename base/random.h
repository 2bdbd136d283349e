// SPDX-License-Identifier: Apache-2.0
// Randomness as a promise. The real one (base/uv/system_random) is unpredictable and fit for DNS
// ids and ports; SeededRandom repeats itself and is for the simulator and for tests.
#pragma once

#include <cstdint>

#include "base/assert.h"
#include "base/time.h"

namespace outrider {

class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t u64() = 0;

  std::uint16_t u16() { return static_cast<std::uint16_t>(u64()); }

  /// Uniform in [0, bound); bound > 0. Lemire's multiplication: the bias of 2^-64 does not matter.
  std::uint64_t below(std::uint64_t bound) {
    OUTRIDER_ASSERT(bound > 0);
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(u64()) * bound) >> 64);
  }

  /// Uniform in [low, high].
  Duration between(Duration low, Duration high) {
    OUTRIDER_ASSERT(low <= high);
    return low + Duration(static_cast<Duration::rep>(
                     below(static_cast<std::uint64_t>((high - low).count()) + 1)));
  }

  /// `middle` changed by at most `percent` of itself either way.
  Duration jitter(Duration middle, int percent) {
    const Duration spread = middle / 100 * percent;
    return between(middle - spread, middle + spread);
  }
};

/// splitmix64 (Steele, Lea, Flood 2014). Equal seeds give equal sequences on every machine.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t u64() override {
    std::uint64_t z = (state_ += 0x9e37'79b9'7f4a'7c15U);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9U;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebU;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

}  // namespace outrider
