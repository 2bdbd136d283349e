// SPDX-License-Identifier: Apache-2.0
#include "base/timer_queue.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/random.h"

namespace outrider {
namespace {

constexpr TimePoint kStart{};

TEST_CASE("timers run by due time, then by the order of arming") {
  TimerQueue queue;
  std::string ran;
  Timer b = queue.at(kStart + 2s, [&] { ran += 'b'; });
  Timer a = queue.at(kStart + 1s, [&] { ran += 'a'; });
  Timer c = queue.at(kStart + 2s, [&] { ran += 'c'; });
  CHECK(queue.next_due() == kStart + 1s);
  CHECK(queue.run_due(kStart) == 0);
  CHECK(queue.run_due(kStart + 2s) == 3);
  CHECK(ran == "abc");
  CHECK(!queue.next_due());
  CHECK(!a.pending());
}

TEST_CASE("destroying the token cancels, also from another callback of the same run") {
  TimerQueue queue;
  int ran = 0;
  Timer victim;
  Timer killer = queue.at(kStart, [&] { victim.reset(); });
  victim = queue.at(kStart, [&] { ++ran; });
  {
    Timer scoped = queue.at(kStart, [&] { ++ran; });
  }
  CHECK(queue.run_due(kStart) == 1);
  CHECK(ran == 0);
  CHECK(queue.size() == 0);
}

TEST_CASE("a callback may destroy its own timer and its owner") {
  TimerQueue queue;
  struct Owner {
    Timer timer;
    std::string name = "long enough to live on the heap, for the sanitizer";
  };
  auto owner = std::make_unique<Owner>();
  owner->timer = queue.at(kStart, [&owner] { owner.reset(); });
  CHECK(queue.run_due(kStart) == 1);
  CHECK(owner == nullptr);
}

TEST_CASE("no timer runs before the call that armed it has returned, nor in the same run") {
  TimerQueue queue;
  int ran = 0;
  Timer inner;
  Timer outer = queue.at(kStart, [&] {
    inner = queue.at(kStart - 5s, [&] { ++ran; });
    CHECK(ran == 0);
  });
  Timer later = queue.at(kStart, [&] { ran += 10; });
  CHECK(queue.run_due(kStart) == 2);  // the newcomer hides nobody that was due
  CHECK(ran == 10);
  CHECK(queue.run_due(kStart) == 1);
  CHECK(ran == 11);
}

TEST_CASE("a chain of timers cannot hold the loop") {
  TimerQueue queue;
  Timer timer;
  int ran = 0;
  struct Chain {
    TimerQueue& queue;
    Timer& timer;
    int& ran;
    void operator()() {
      ++ran;
      timer = queue.at(kStart, Chain{queue, timer, ran});
    }
  };
  timer = queue.at(kStart, Chain{queue, timer, ran});
  for (int i = 0; i < 5; ++i)
    queue.run_due(kStart);
  CHECK(ran == 5);
}

TEST_CASE("what the caller has no time for waits for the next call, in order") {
  TimerQueue queue;
  std::string ran;
  std::vector<Timer> timers;
  for (const char letter : {'a', 'b', 'c', 'd', 'e'})
    timers.push_back(queue.at(kStart, [&ran, letter] { ran += letter; }));
  const auto two_at_once = [&] { return ran.size() % 2 == 0; };
  CHECK(queue.run_due(kStart, two_at_once) == 2);
  CHECK(queue.next_due() == kStart);
  const Timer newcomer = queue.at(kStart, [&] { ran += 'z'; });
  CHECK(queue.run_due(kStart, two_at_once) == 2);
  CHECK(queue.run_due(kStart, two_at_once) == 2);
  CHECK(ran == "abcdez");
}

TEST_CASE("ten thousand timers armed and cancelled at random fire once each, in order") {
  SeededRandom random(7);
  TimerQueue queue;
  std::vector<Timer> timers(10'000);
  std::vector<TimePoint> fired;
  std::size_t cancelled = 0;
  for (Timer& timer : timers) {
    const TimePoint due = kStart + random.between(0s, 1h);
    timer = queue.at(due, [&fired, due] { fired.push_back(due); });
  }
  for (Timer& timer : timers) {
    if (random.below(3) == 0) {
      timer.reset();
      ++cancelled;
    }
  }
  while (const auto due = queue.next_due())
    queue.run_due(*due);
  CHECK(fired.size() == timers.size() - cancelled);
  CHECK(std::is_sorted(fired.begin(), fired.end()));
}

}  // namespace
}  // namespace outrider
