// SPDX-License-Identifier: Apache-2.0
// What every Relay does, by splice(2) on real sockets and by copying on simulated ones.
#include "base/relay.h"
#include "tests/contract/net_contract.h"
#include "tests/contract/worlds.h"

namespace outrider::contract {
namespace {

std::string text_of(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& c : text) {
    state = state * 1'664'525U + 1'013'904'223U;
    c = static_cast<char>(state >> 24U);
  }
  return text;
}

/// near ⇄ (one pair) ⇄ relay ⇄ (another pair) ⇄ far
template <class World>
struct Bridged final : Relay::Sink {
  explicit Bridged(World& world)
      : left(world, endpoint("127.0.0.1:0")),
        right(world, endpoint("127.0.0.1:0")),
        relays(world.relays()) {}
  void start(bool left_ended = false, std::string_view left_read = {}) {
    relay = relays->start({std::move(left.far.stream), left_ended, as_bytes(left_read)},
                          {std::move(right.near.stream)}, *this);
  }
  void on_relay_end() override {
    ++ends;
    if (destroys) relay.reset();
  }
  Talker& near() { return left.near; }
  Talker& far() { return right.far; }

  Pair<World> left, right;
  std::unique_ptr<Relays> relays;
  std::unique_ptr<Relay> relay;
  int ends = 0;
  bool destroys = true;
};

TEST_CASE_TEMPLATE("a relay carries bytes both ways and each end alone", World, CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.start();
  REQUIRE(bridged.near().say("question"));
  REQUIRE(world.run_until([&] { return bridged.far().heard == "question"; }));
  bridged.near().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.far().ended; }));
  CHECK(bridged.ends == 0);
  REQUIRE(bridged.far().say("answer"));
  REQUIRE(world.run_until([&] { return bridged.near().heard == "answer"; }));
  CHECK(bridged.relay->bytes() == 14);
  bridged.far().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.near().ended && bridged.ends == 1; }));
  CHECK_FALSE(bridged.near().broken);
  CHECK_FALSE(bridged.far().broken);
}

TEST_CASE_TEMPLATE("much arrives whole and in order, and its end after it", World,
                   CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.start();
  const std::string up = text_of(3U << 20), down = text_of(2U << 20);
  REQUIRE(bridged.near().say(up));
  REQUIRE(bridged.far().say(down));
  bridged.near().stream->finish();
  bridged.far().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.ends == 1; }));
  REQUIRE(world.run_until([&] { return bridged.near().ended && bridged.far().ended; }));
  CHECK((bridged.far().heard == up));
  CHECK((bridged.near().heard == down));
}

TEST_CASE_TEMPLATE("a slow reader makes the sender wait, and gets everything in the end", World,
                   CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.start();
  bridged.far().stream->set_paused(true);
  std::size_t sent = 0;
  const std::string piece = text_of(256U << 10);
  // What the kernels of both ends hold is much; what the relay holds is little.
  for (int i = 0; i < 200 && bridged.near().stream->unsent_bytes() < (3U << 20); ++i) {
    REQUIRE(bridged.near().say(piece));
    sent += piece.size();
    world.rest();
  }
  CHECK(bridged.near().stream->unsent_bytes() >= (2U << 20));
  CHECK(bridged.far().heard.empty());
  bridged.far().stream->set_paused(false);
  REQUIRE(world.run_until([&] { return bridged.far().heard.size() == sent; }));
  for (std::size_t at = 0; at < sent; at += piece.size())
    CHECK((bridged.far().heard.substr(at, piece.size()) == piece));
}

TEST_CASE_TEMPLATE("a break of one side breaks the other", World, CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.start();
  REQUIRE(bridged.far().say("half an ans"));
  REQUIRE(world.run_until([&] { return !bridged.near().heard.empty(); }));
  bridged.far().stream->reset_on_destroy();
  bridged.far().stream.reset();
  REQUIRE(world.run_until([&] { return bridged.near().broken.has_value(); }));
  CHECK(*bridged.near().broken == NetError::reset);
  CHECK_FALSE(bridged.near().ended);
  CHECK(bridged.ends == 1);
}

TEST_CASE_TEMPLATE("destroying a relay breaks both sides", World, CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.start();
  bridged.relay.reset();
  REQUIRE(world.run_until([&] { return bridged.near().broken && bridged.far().broken; }));
  CHECK(bridged.ends == 0);
}

TEST_CASE_TEMPLATE("what a stream has not sent yet goes before what the relay brings", World,
                   CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.far().stream->set_paused(true);
  const std::string first = text_of(4'000'000);
  REQUIRE(bridged.right.near.say(first));  // more than the kernels hold
  REQUIRE(bridged.near().say("second"));
  world.rest();
  bridged.start();
  world.rest();
  bridged.far().stream->set_paused(false);
  REQUIRE(world.run_until([&] { return bridged.far().heard.size() >= first.size(); }));
  bridged.near().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.far().ended; }));
  // The stream was started and had read what came before the relay.
  CHECK((bridged.far().heard == first + (bridged.left.far.heard.empty() ? "second" : "")));
}

TEST_CASE_TEMPLATE("what was read before the relay goes ahead, whatever follows it", World,
                   CONTRACT_WORLDS) {
  enum class Next { more, end, reset };
  for (const Next next : {Next::more, Next::end, Next::reset}) {
    World world;
    Bridged<World> bridged(world);
    REQUIRE(bridged.near().say("early"));
    REQUIRE(world.run_until([&] { return bridged.left.far.heard == "early"; }));
    bridged.left.far.stream->set_paused(true);
    if (next == Next::more) REQUIRE(bridged.near().say(", late"));
    if (next == Next::end) bridged.near().stream->finish();
    if (next == Next::reset) {
      bridged.near().stream->reset_on_destroy();
      bridged.near().stream.reset();
    }
    world.rest();
    if (bridged.left.far.broken) continue;  // reported already: not a stream for a relay
    bridged.start(false, "early");
    if (next == Next::reset) {
      REQUIRE(world.run_until([&] { return bridged.far().broken && bridged.ends == 1; }));
      continue;
    }
    REQUIRE(world.run_until([&] { return bridged.far().heard.starts_with("early"); }));
    if (next == Next::more)
      REQUIRE(world.run_until([&] { return bridged.far().heard == "early, late"; }));
    else
      REQUIRE(world.run_until([&] { return bridged.far().ended; }));
    REQUIRE(bridged.far().say("answer"));
    REQUIRE(world.run_until([&] { return bridged.near().heard == "answer"; }));
    CHECK(bridged.relay->bytes() == bridged.far().heard.size() + bridged.near().heard.size());
  }
}

TEST_CASE_TEMPLATE("an end that came before the relay is carried, too", World, CONTRACT_WORLDS) {
  World world;
  Bridged<World> bridged(world);
  bridged.near().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.left.far.ended; }));
  bridged.start(true);
  REQUIRE(world.run_until([&] { return bridged.far().ended; }));
  REQUIRE(bridged.far().say("late"));
  bridged.far().stream->finish();
  REQUIRE(world.run_until([&] { return bridged.near().ended && bridged.ends == 1; }));
  CHECK(bridged.near().heard == "late");
}

}  // namespace
}  // namespace outrider::contract
