// SPDX-License-Identifier: Apache-2.0
// Gives memory back to the system: large blocks as soon as they are freed, such as those in which
// the names of a large service are made, and the rest after many instances have gone, because a
// link with thousands of them was left, or flooded. The heap would keep it for ever.
#pragma once

#include <functional>

#include "agent/registry/registry.h"
#include "base/env.h"

namespace outrider {

/// Fewer instances that are gone are not worth the walk through the heap.
inline constexpr std::size_t kGoneInstancesMin = 256;
/// An instance that was lost is asked for a while before the cache of mDNS forgets its records.
inline constexpr Duration kHeapReturnDelay = std::chrono::seconds(30);
/// Blocks of this size are given back when they are freed, and as much at the end of the heap.
inline constexpr int kLargeBlock = 256 << 10;

class HeapReturn {
 public:
  /// Of this process.
  explicit HeapReturn(Env& env);
  HeapReturn(Env& env, std::function<void()> trim) : env_(env), trim_(std::move(trim)) {}

  void on_changes(const registry::Changes& changes);

 private:
  Env& env_;
  std::function<void()> trim_;
  std::size_t gone_ = 0;
  Timer timer_;
};

}  // namespace outrider
