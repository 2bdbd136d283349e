// SPDX-License-Identifier: Apache-2.0
// Asserts are for our own mistakes only, are always on, and never look at input from outside.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace outrider {

[[noreturn]] inline void assertion_failed(const char* what, const char* file, int line) noexcept {
  std::fprintf(stderr, "outrider: assertion failed: %s (%s:%d)\n", what, file, line);
  std::abort();
}

}  // namespace outrider

#define OUTRIDER_ASSERT(condition)    \
  ((condition) ? static_cast<void>(0) \
               : ::outrider::assertion_failed(#condition, __FILE__, __LINE__))
#define OUTRIDER_UNREACHABLE() ::outrider::assertion_failed("unreachable", __FILE__, __LINE__)
