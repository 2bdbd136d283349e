// SPDX-License-Identifier: Apache-2.0
#include "agent/process/heap_return.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;
using namespace std::chrono_literals;

TEST_CASE("memory goes back to the system once after many instances have gone") {
  sim::World world{1};
  int trims = 0;
  HeapReturn heap(world.host("a").env(), [&] { ++trims; });
  const auto instance = std::make_shared<const registry::Instance>();
  const auto gone = [&](std::size_t count) {
    registry::Changes changes;
    changes.list.assign(count, {.before = instance, .after = nullptr});
    heap.on_changes(changes);
  };
  gone(kGoneInstancesMin - 1);
  world.advance(1min);
  CHECK(trims == 0);
  gone(1);
  gone(kGoneInstancesMin);
  world.advance(kHeapReturnDelay - 1ms);
  CHECK(trims == 0);
  world.advance(1min);
  CHECK(trims == 1);
  // Instances that come or change are no reason.
  registry::Changes changes;
  changes.list.assign(2 * kGoneInstancesMin, {.before = instance, .after = instance});
  heap.on_changes(changes);
  world.advance(1min);
  CHECK(trims == 1);
  gone(kGoneInstancesMin);
  world.advance(1min);
  CHECK(trims == 2);
}
