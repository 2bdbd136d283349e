// SPDX-License-Identifier: Apache-2.0
// A hash of bytes that come from the network: both factors of each step hide behind a seed, so that
// nobody who does not know it can make keys collide.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"

namespace outrider::dns {

inline std::uint64_t multiply_and_fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

inline std::uint64_t seeded_hash(Bytes bytes, std::uint64_t seed) {
  std::uint64_t hash = seed ^ bytes.size() * 0x9e37'79b9'7f4a'7c15U;
  const std::uint64_t mask = ~seed * 0xff51'afd7'ed55'8ccdU;
  for (std::size_t i = 0; i < bytes.size(); i += 8) {
    std::uint64_t word = 0;
    if (bytes.size() - i >= 8) {
      std::memcpy(&word, bytes.data() + i, 8);
    } else {
      std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    }
    hash = multiply_and_fold(word ^ mask, hash ^ 0xa076'1d64'78bd'642fU);
  }
  return hash;
}

}  // namespace outrider::dns
