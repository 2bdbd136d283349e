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
/// Only in builds that are not for release: for checks that cost too much there.
#ifdef OUTRIDER_DEBUG
#define OUTRIDER_DEBUG_ASSERT(condition) OUTRIDER_ASSERT(condition)
#else
#define OUTRIDER_DEBUG_ASSERT(condition) static_cast<void>(0)
#endif
#define OUTRIDER_UNREACHABLE() ::outrider::assertion_failed("unreachable", __FILE__, __LINE__)
