// SPDX-License-Identifier: Apache-2.0
// For test cases that cannot run here: doctest decides at compile time what it skips.
#pragma once

#include <cstdio>

namespace outrider::test {

/// Prints why the test case ends early; tests/count.py counts it as skipped.
inline void skip(const char* why) {
  std::printf("skipped: %s\n", why);
}

}  // namespace outrider::test
