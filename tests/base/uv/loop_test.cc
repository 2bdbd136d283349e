// SPDX-License-Identifier: Apache-2.0
#include "base/uv/loop.h"

#include <csignal>
#include <set>
#include <thread>

#include <doctest/doctest.h>
#include <unistd.h>
#include <uv.h>

#include "base/uv/system.h"
#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

TEST_CASE("a loop without anything opens no handles and closes cleanly") {
  Loop loop;
  CHECK(loop.open_handles() == 0);
  loop.turn(false);
}

TEST_CASE("timers run in order, not before they are due, and not all at once") {
  Loop loop;
  std::string order;
  const TimePoint start = loop.clock().now();
  TimePoint seen{};
  const Timer second = loop.timers().at(start + 3ms, [&] {
    order += '2';
    seen = loop.clock().now();
  });
  const Timer first = loop.timers().at(start + 1ms, [&] { order += '1'; });
  CHECK(turn_until(loop, [&] { return order.size() == 2; }));
  CHECK(order == "12");
  CHECK(seen >= start + 3ms);
}

TEST_CASE("a timer that is already due runs in the next turn, never at once") {
  Loop loop;
  bool ran = false;
  const Timer timer = loop.timers().at(loop.clock().now() - 1h, [&] { ran = true; });
  CHECK_FALSE(ran);
  CHECK(turn_until(
      loop, [&] { return ran; }, 3));
}

TEST_CASE("a timer for now is not rounded up to a sleep") {
  Loop loop;
  Timer timer;
  const auto arm_for_now = [&] { timer = loop.timers().at(loop.clock().now(), [] {}); };
  const Timer first = loop.timers().at(loop.clock().now() - 1h, arm_for_now);
  CHECK(turn_until(loop, [&] { return !first.pending(); }));
  CHECK((!timer.pending() || uv_backend_timeout(loop.handle()) == 0));
  CHECK(turn_until(
      loop, [&] { return !timer.pending(); }, 1));
}

TEST_CASE("many timers that are due share the turns with everything else") {
  Loop loop;
  constexpr int kTimers = 4;
  int ran = 0;
  int woken_after = -1;
  std::unique_ptr<Loop::Waker> waker = loop.make_waker([&] { woken_after = ran; });
  std::vector<Timer> timers;
  for (int i = 0; i < kTimers; ++i)
    timers.push_back(loop.timers().at(loop.clock().now(), [&] {
      if (ran++ == 0) waker->wake();
      spend_turn();
    }));
  CHECK(turn_until(loop, [&] { return ran == kTimers; }));
  CHECK(woken_after == 1);
}

TEST_CASE("a later timer does not wake the loop early once the earlier one is cancelled") {
  Loop loop;
  int turns = 0;
  bool ran = false;
  Timer early = loop.timers().at(loop.clock().now() + 2ms, [] {});
  const Timer late = loop.timers().at(loop.clock().now() + 20ms, [&] { ran = true; });
  loop.turn(false);  // armed for the early one
  early.reset();
  while (!ran && turns < 100) {
    loop.turn(true);
    ++turns;
  }
  CHECK(ran);
  CHECK(turns <= 2);
}

TEST_CASE("the clock stands still during a turn and moves between turns") {
  Loop loop;
  TimePoint first{}, again{}, later{};
  const Timer a = loop.timers().at(loop.clock().now(), [&] {
    first = loop.clock().now();
    for (int i = 0; i < 1'000; ++i)
      static_cast<void>(loop.clock().wall());  // takes longer than the clock's resolution
    again = loop.clock().now();
  });
  CHECK(turn_until(loop, [&] { return again != TimePoint{}; }));
  const Timer b = loop.timers().at(loop.clock().now(), [&] { later = loop.clock().now(); });
  CHECK(turn_until(loop, [&] { return later != TimePoint{}; }));
  CHECK(first == again);
  CHECK(later > first);
}

TEST_CASE("the time spent suspended never goes back and does not shiver") {
  Loop loop;
  const Duration first = loop.clock().suspended();
  CHECK(first >= 0s);
  for (int i = 0; i < 1'000; ++i)
    CHECK(loop.clock().suspended() == first);
}

TEST_CASE("run ends with stop") {
  Loop loop;
  const Timer timer = loop.timers().at(loop.clock().now() + 1ms, [&] { loop.stop(); });
  loop.run();
  CHECK_FALSE(timer.pending());
}

TEST_CASE("run ignores SIGPIPE") {
  std::signal(SIGPIPE, SIG_DFL);
  Loop loop;
  const Timer timer = loop.timers().at(loop.clock().now(), [&] { loop.stop(); });
  loop.run();
  struct sigaction action {};
  sigaction(SIGPIPE, nullptr, &action);
  CHECK((action.sa_handler == SIG_IGN));
}

TEST_CASE("signals are delivered as often as watched, and no more after the watch is gone") {
  Loop loop;
  int count = 0;
  auto watch = loop.watch_signal(SIGUSR1, [&] { ++count; });
  CHECK(loop.open_handles() == 1);
  ::kill(::getpid(), SIGUSR1);
  CHECK(turn_until(loop, [&] { return count == 1; }));
  auto other = loop.watch_signal(SIGUSR1, [&] { count += 10; });
  ::kill(::getpid(), SIGUSR1);
  CHECK(turn_until(loop, [&] { return count == 12; }));
  watch.reset();
  ::kill(::getpid(), SIGUSR1);
  CHECK(turn_until(loop, [&] { return count == 22; }));
  other.reset();
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("a signal callback may destroy its watch") {
  Loop loop;
  std::unique_ptr<Pending> watch;
  bool called = false;
  watch = loop.watch_signal(SIGUSR2, [&] {
    watch.reset();
    called = true;
  });
  ::kill(::getpid(), SIGUSR2);
  CHECK(turn_until(loop, [&] { return called; }));
}

TEST_CASE("a waker wakes from another thread") {
  Loop loop;
  int woken = 0;
  auto waker = loop.make_waker([&] { ++woken; });
  std::thread other([&] {
    for (int i = 0; i < 100; ++i)
      waker->wake();
  });
  CHECK(turn_until(loop, [&] { return woken > 0; }));
  other.join();
  turn_idly(loop);
  CHECK(woken <= 100);
}

TEST_CASE("a waker callback may destroy the waker") {
  Loop loop;
  bool woken = false;
  std::unique_ptr<Loop::Waker> waker;
  waker = loop.make_waker([&] {
    waker.reset();
    woken = true;
  });
  waker->wake();
  CHECK(turn_until(loop, [&] { return woken; }));
}

TEST_CASE("a borrowed loop is run by its host and is left clean") {
  uv_loop_t host;
  REQUIRE(uv_loop_init(&host) == 0);
  bool closed = false;
  {
    auto loop = std::make_unique<Loop>(&host);
    bool ran = false;
    const Timer timer = loop->timers().at(loop->clock().now() + 1ms, [&] { ran = true; });
    for (int i = 0; i < 100 && !ran; ++i)
      uv_run(&host, UV_RUN_ONCE);
    CHECK(ran);
    CHECK(loop->handle() == &host);
    loop->when_closed([&] { closed = true; });
  }
  CHECK_FALSE(closed);
  uv_run(&host, UV_RUN_DEFAULT);
  CHECK(closed);
  CHECK(uv_loop_close(&host) == 0);
}

TEST_CASE("system randomness does not repeat itself") {
  SystemRandom random;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1'000; ++i)
    seen.insert(random.u64());
  CHECK(seen.size() == 1'000);
}

}  // namespace
}  // namespace outrider::uv
