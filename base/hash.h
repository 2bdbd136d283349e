// SPDX-License-Identifier: Apache-2.0
// Two hashes. seeded_hash is for tables keyed by bytes from the network: both factors of each step
// hide behind a seed, so that a peer that does not know it cannot make keys collide. fnv1a is for
// identifiers: it gives the same value on every machine and in every release.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace outrider {

inline std::uint64_t multiply_and_fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

/// In the machine's own order of octets: hashes never leave it.
inline std::uint64_t word_at(std::span<const std::uint8_t, 8> octets) {
  std::array<std::uint8_t, 8> word;
  std::ranges::copy(octets, word.begin());
  return std::bit_cast<std::uint64_t>(word);
}

inline std::uint64_t seeded_hash(Bytes bytes, std::uint64_t seed) {
  constexpr std::uint64_t kStep = 0xa076'1d64'78bd'642fU;
  std::uint64_t hash = seed ^ bytes.size() * 0x9e37'79b9'7f4a'7c15U;
  const std::uint64_t mask = ~seed * 0xff51'afd7'ed55'8ccdU;
  std::size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8)
    hash = multiply_and_fold(word_at(bytes.subspan(at).first<8>()) ^ mask, hash ^ kStep);
  if (at < bytes.size()) {
    std::array<std::uint8_t, 8> last{};
    std::ranges::copy(bytes.subspan(at), last.begin());
    hash = multiply_and_fold(word_at(last) ^ mask, hash ^ kStep);
  }
  return hash;
}

inline std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325U;
  for (const char c : text)
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100'0000'01b3U;
  return hash;
}

}  // namespace outrider
