// SPDX-License-Identifier: Apache-2.0
#include "agent/process/heap_return.h"

#include <algorithm>

#include <malloc.h>

namespace outrider {

HeapReturn::HeapReturn(Env& env)
    : HeapReturn(env, [] {
#ifdef __GLIBC__
        ::malloc_trim(0);
#endif
      }) {
#ifdef __GLIBC__
  // By itself, glibc raises the size with each such block, and keeps them from then on.
  ::mallopt(M_MMAP_THRESHOLD, kLargeBlock);
  ::mallopt(M_TRIM_THRESHOLD, kLargeBlock);
#endif
}

void HeapReturn::on_changes(const registry::Changes& changes) {
  gone_ += static_cast<std::size_t>(std::ranges::count_if(
      changes.list, [](const registry::Change& change) { return !change.after; }));
  if (gone_ < kGoneInstancesMin || timer_.pending()) return;
  timer_ = env_.after(kHeapReturnDelay, [this] {
    gone_ = 0;
    trim_();
  });
}

}  // namespace outrider
