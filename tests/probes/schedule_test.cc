// SPDX-License-Identifier: Apache-2.0
#include "probes/schedule.h"

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::probes;
using Phase = Schedule::Phase;

namespace {
const TimePoint kStart{1h};
}

TEST_CASE("the first probe comes within a tenth of the interval and half a second") {
  SeededRandom random(1);
  const Schedule slow(CheckTiming{}, kStart);
  const Schedule quick({.interval = 1s}, kStart);
  Duration most_slow{}, most_quick{};
  for (int i = 0; i < 1'000; ++i) {
    most_slow = std::max(most_slow, slow.first(kStart, random) - kStart);
    most_quick = std::max(most_quick, quick.first(kStart, random) - kStart);
  }
  CHECK(most_slow <= kFirstDelayMax);
  CHECK(most_slow > kFirstDelayMax / 2);
  CHECK(most_quick <= 100ms);
  CHECK(most_quick > 50ms);
}

TEST_CASE("which interval counts when") {
  Schedule schedule(CheckTiming{}, kStart);
  CHECK(schedule.period(kStart, Phase::steady) == 1s);
  CHECK(schedule.period(kStart + 59s, Phase::counting) == 1s);
  CHECK(schedule.period(kStart + 60s, Phase::steady) == 10s);
  CHECK(schedule.period(kStart + 60s, Phase::counting) == 2s);
  schedule.note_pass();
  CHECK(schedule.period(kStart, Phase::steady) == 10s);
  CHECK(schedule.period(kStart, Phase::counting) == 2s);
  schedule.set_override(30s);
  CHECK(schedule.period(kStart, Phase::counting) == 30s);
  schedule.set_override(std::nullopt);
  CHECK(schedule.period(kStart, Phase::steady) == 10s);
  schedule.restart(kStart + 1h);
  CHECK(schedule.period(kStart + 1h, Phase::steady) == 1s);
  CHECK(schedule.period(kStart + 1h + 60s, Phase::steady) == 10s);

  // Nothing is slower than the interval itself.
  Schedule quick({.interval = 500ms}, kStart);
  CHECK(quick.period(kStart, Phase::steady) == 500ms);
  quick.note_pass();
  CHECK(quick.period(kStart, Phase::counting) == 500ms);
}

TEST_CASE("from start to start, with ten percent of jitter") {
  SeededRandom random(2);
  Schedule schedule(CheckTiming{}, kStart);
  schedule.note_pass();
  Duration least = 1h, most{};
  for (int i = 0; i < 10'000; ++i) {
    const Duration gap = schedule.next(kStart, kStart + 3s, Phase::steady, random) - kStart;
    least = std::min(least, gap);
    most = std::max(most, gap);
  }
  CHECK(least >= 9s);
  CHECK(least < 9'100ms);
  CHECK(most <= 11s);
  CHECK(most > 10'900ms);
}

TEST_CASE("checks with slow periods are due on a common grid, within their jitter") {
  SeededRandom random(4);
  Schedule slow({.interval = 1s, .edge_interval = 999ms}, kStart);
  slow.note_pass();
  bool all_on_grid = true;
  for (int i = 0; i < 10'000; ++i) {
    const TimePoint start = kStart + i * 777us;
    const TimePoint due = slow.next(start, start, Phase::steady, random);
    CHECK(due >= start + 900ms);
    CHECK(due <= start + 1'100ms);
    CHECK(due.time_since_epoch() % kDueGrid == Duration::zero());
    const TimePoint quick = slow.next(start, start, Phase::counting, random);
    all_on_grid = all_on_grid && quick.time_since_epoch() % kDueGrid == Duration::zero();
  }
  CHECK_FALSE(all_on_grid);
}

TEST_CASE("a probe that overruns gives the target a rest") {
  SeededRandom random(3);
  Schedule schedule(CheckTiming{}, kStart);
  schedule.note_pass();
  CHECK(schedule.next(kStart, kStart + 5s, Phase::counting, random) == kStart + 5s + 200ms);
  CHECK(schedule.next(kStart, kStart + 20s, Phase::steady, random) == kStart + 20s + kRestMax);
}
