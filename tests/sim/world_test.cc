// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <stdexcept>

#include <doctest/doctest.h>

namespace outrider::sim {
namespace {

TEST_CASE("advance runs timers at their time, one after another") {
  World world;
  Env& env = world.env();
  const TimePoint start = env.now();
  std::vector<Duration> ran;
  Timer second;
  Timer first = env.after(1s, [&] {
    ran.push_back(env.now() - start);
    second = env.after(1s, [&] { ran.push_back(env.now() - start); });
  });
  world.advance(10s);
  CHECK(ran == std::vector<Duration>{1s, 2s});
  CHECK(env.now() == start + 10s);
}

TEST_CASE("equal seeds draw equally, hosts differ") {
  World one(7);
  World other(7);
  CHECK(one.host("a").env().random.u64() == other.host("a").env().random.u64());
  CHECK(one.host("a").env().random.u64() != one.host("b").env().random.u64());
}

TEST_CASE("what runs away is stopped") {
  World world;
  Timer again;
  Callback<void()> arm;
  std::function<void()> body = [&] { again = world.env().after({}, [&] { body(); }); };
  body();
  CHECK_THROWS_AS(world.advance(1s), std::runtime_error);
  again.reset();
}

TEST_CASE("settle waits for the wire, not for timers") {
  World world;
  bool fired = false;
  Timer later = world.env().after(1h, [&] { fired = true; });
  CHECK(world.settle());
  CHECK(!fired);
  later.reset();
}

TEST_CASE("run_until stops where it is done") {
  World world;
  int count = 0;
  Timer timer;
  std::function<void()> tick = [&] {
    ++count;
    timer = world.env().after(1s, [&] { tick(); });
  };
  timer = world.env().after(1s, [&] { tick(); });
  const TimePoint start = world.now();
  CHECK(world.run_until([&] { return count == 5; }, 1min));
  CHECK(world.now() == start + 5s);
  CHECK(!world.run_until([&] { return count == 100; }, 10s));
  CHECK(world.now() == start + 15s);
  timer.reset();
}

TEST_CASE("a sleeping host stands still, and knows afterwards") {
  World world;
  Host& box = world.host("box");
  const TimePoint start = box.now();
  const WallTime wall = box.env().clock.wall();
  Duration at{};
  Timer timer = box.env().after(10s, [&] { at = box.now() - start; });
  int told = 0;
  world.settle();
  auto watch = box.env().network.watch_interfaces([&] { ++told; });
  world.advance(4s);
  box.sleep();
  world.advance(1h);
  CHECK(box.now() == start + 4s);
  CHECK(at == Duration{});
  box.wake();
  CHECK(box.env().clock.suspended() == 1h);
  CHECK(box.env().clock.wall() == wall + 1h + 4s);
  CHECK(told == 0);
  world.advance(6s);
  CHECK(at == 10s);
  CHECK(told == 1);
}

TEST_CASE("wall time jumps alone") {
  World world;
  Host& box = world.host("box");
  const TimePoint now = box.now();
  const WallTime wall = box.env().clock.wall();
  CHECK(format_wall_time(wall) == "2026-01-31T09:30:00.000Z");
  box.step_wall(-24h);
  CHECK(box.env().clock.wall() == wall - 24h);
  CHECK(box.now() == now);
}

TEST_CASE("interface changes of one turn come as one call") {
  World world;
  Link& lan = world.link("lan");
  Host& box = world.host("box");
  int calls = 0;
  auto watch = box.env().network.watch_interfaces([&] { ++calls; });
  const std::uint32_t index = box.attach("eth0", lan, {"192.168.1.2/24", "fe80::2/64"});
  box.add_address("eth0", "192.168.1.3/24");
  CHECK(calls == 0);
  world.settle();
  CHECK(calls == 1);
  const auto interfaces = box.env().network.interfaces();
  REQUIRE(interfaces.size() == 2);
  CHECK(interfaces[0].loopback);
  CHECK(interfaces[1].index == index);
  CHECK(interfaces[1].addresses[1].address.to_string() == "fe80::2%2");
  lan.set_up(false);
  world.settle();
  CHECK(calls == 2);
  CHECK(!box.env().network.interfaces()[1].up);
  box.remove_address("eth0", "192.168.1.3");
  box.detach("eth0");
  world.settle();
  CHECK(calls == 3);
  watch.reset();
  box.attach("eth1", lan, {});
  world.settle();
  CHECK(calls == 3);
}

TEST_CASE("a watch may end itself in its callback") {
  World world;
  std::unique_ptr<Pending> watch;
  int calls = 0;
  watch = world.env().network.watch_interfaces([&] {
    ++calls;
    watch.reset();
  });
  world.host("here").add_address("lo", "127.0.0.2/8");
  world.settle();
  world.host("here").remove_address("lo", "127.0.0.2");
  world.settle();
  CHECK(calls == 1);
}

TEST_CASE("what is left over is named") {
  World world;
  Timer timer = world.env().after(1s, [] {});
  auto watch = world.env().network.watch_interfaces([] {});
  CHECK(world.leftovers() == "  here: interface watch\n  here: 1 timers\n");
  timer.reset();
  watch.reset();
  CHECK(world.leftovers().empty());
}

TEST_CASE("the log is kept, escaped") {
  World world;
  world.env().log.record(LogEvent::upstream_failed, {{"peer", "a\nb"}, {"reason", 503}});
  CHECK(world.host("here").log().last("upstream_failed") ==
        "warning upstream_failed peer=a\\x0ab reason=503");
  CHECK(world.host("here").log().count("upstream") == 0);
}

}  // namespace
}  // namespace outrider::sim
