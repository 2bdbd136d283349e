// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <string>

#include <doctest/doctest.h>

namespace outrider {
namespace {

// Host labels and cookies on the wire are made of it: it must never change.
TEST_CASE("FNV-1a has the published values") {
  CHECK(fnv1a("") == 0xcbf2'9ce4'8422'2325U);
  CHECK(fnv1a("a") == 0xaf63'dc4c'8601'ec8cU);
  CHECK(fnv1a("foobar") == 0x8594'4171'f739'67e8U);
}

TEST_CASE("a seeded hash depends on the seed, every octet and the length") {
  const std::string text = "instance-0123456789";
  const std::uint64_t plain = seeded_hash(as_bytes(text), 1);
  CHECK(seeded_hash(as_bytes(text), 1) == plain);
  CHECK(seeded_hash(as_bytes(text), 2) != plain);
  CHECK(seeded_hash(as_bytes(text + '\0'), 1) != plain);
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    CHECK(seeded_hash(as_bytes(other), 1) != plain);
  }
}

}  // namespace
}  // namespace outrider
