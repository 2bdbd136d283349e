// SPDX-License-Identifier: Apache-2.0
// What every driver of a TimerQueue and a Clock promises.
#include "tests/contract/net_contract.h"
#include "tests/contract/worlds.h"

namespace outrider::contract {
namespace {

TEST_CASE_TEMPLATE("timers run in order and never early", World, CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  const TimePoint start = env.now();
  std::string ran;
  Timer c = env.after(20ms, [&] { ran += 'c'; });
  Timer a = env.after(5ms, [&] {
    ran += 'a';
    CHECK(env.now() >= start + 5ms);
  });
  Timer b = env.after(5ms, [&] { ran += 'b'; });
  Timer never = env.after(10ms, [&] { ran += '!'; });
  Timer canceller = env.after(6ms, [&] { never.reset(); });
  CHECK(ran.empty());
  CHECK(world.run_until([&] { return ran.size() == 3; }));
  CHECK(ran == "abc");
  CHECK(env.now() >= start + 20ms);
}

TEST_CASE_TEMPLATE("a timer that is due at once waits for the call to return", World,
                   CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  bool ran = false;
  Timer timer = env.timers.at(env.now() - 1s, [&] { ran = true; });
  CHECK(!ran);
  CHECK(world.run_until([&] { return ran; }));
}

TEST_CASE_TEMPLATE("the clock stands still while a callback runs", World, CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  bool ran = false;
  Timer timer = env.after(1ms, [&] {
    const TimePoint before = env.now();
    const WallTime wall = env.clock.wall();
    // Long enough for a real clock to move.
    SeededRandom random(1);
    std::uint64_t sum = 0;
    for (int i = 0; i < 1'000'000; ++i)
      sum += random.u64();
    CHECK(sum != 0);
    CHECK(env.now() == before);
    CHECK(env.clock.wall() >= wall);
    ran = true;
  });
  CHECK(world.run_until([&] { return ran; }));
}

TEST_CASE_TEMPLATE("a callback may destroy its timer and everything around it", World,
                   CONTRACT_WORLDS) {
  World world;
  struct Owner {
    Timer timer;
    std::string text = "still here";
  };
  auto owner = std::make_unique<Owner>();
  bool ran = false;
  owner->timer = world.env().after({}, [&] {
    owner.reset();
    ran = true;
  });
  CHECK(world.run_until([&] { return ran; }));
  CHECK(owner == nullptr);
}

TEST_CASE_TEMPLATE("timers that arm themselves again do not starve the network", World,
                   CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  Timer timer;
  std::function<void()> again = [&] { timer = env.after({}, [&] { again(); }); };
  again();
  Ear near(env, {.bind = endpoint("127.0.0.1:0")});
  Ear far(env, {.bind = endpoint("127.0.0.1:0")});
  near.send("x", far.socket->local());
  CHECK(world.run_until([&] { return !far.heard.empty(); }));
  timer.reset();
}

}  // namespace
}  // namespace outrider::contract
