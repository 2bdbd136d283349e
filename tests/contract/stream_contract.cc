// SPDX-License-Identifier: Apache-2.0
#include "tests/contract/net_contract.h"
#include "tests/contract/worlds.h"

namespace outrider::contract {
namespace {

const StreamAddress kAnyPort = Endpoint{IpAddress::loopback(IpAddress::Family::v4), 0};

/// Runs `body` over TCP and over a Unix socket.
template <class World, class Body>
void over_both(const Body& body) {
  {
    INFO("TCP");
    World world;
    body(world, kAnyPort);
  }
  {
    INFO("Unix");
    World world;
    body(world, StreamAddress(UnixPath{world.path()}));
  }
}

TEST_CASE_TEMPLATE("a stream carries bytes both ways and closes one way at a time", World,
                   CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Pair<World> pair(world, on);
    CHECK(pair.near.say("ping"));
    pair.near.stream->finish();
    CHECK(pair.near.stream->write(as_bytes("x")).error() == NetError::closed);
    CHECK(world.run_until([&] { return pair.far.ended; }));
    CHECK(pair.far.heard == "ping");
    CHECK(pair.far.say("pong"));
    CHECK(world.run_until([&] { return pair.near.heard == "pong"; }));
    CHECK(!pair.near.ended);
    pair.far.stream.reset();
    CHECK(world.run_until([&] { return pair.near.ended; }));
    CHECK(!pair.near.broken);
    CHECK(!pair.far.broken);
  });
}

TEST_CASE_TEMPLATE("both ends agree on their addresses", World, CONTRACT_WORLDS) {
  World world;
  Pair<World> pair(world, kAnyPort);
  CHECK(pair.near.stream->peer() == pair.acceptor.listener->local());
  CHECK(pair.far.stream->local() == pair.acceptor.listener->local());
  CHECK(pair.far.stream->peer() == pair.near.stream->local());
  CHECK(!pair.far.stream->peer_credentials());
}

TEST_CASE_TEMPLATE("a Unix peer is known", World, CONTRACT_WORLDS) {
  World world;
  Pair<World> pair(world, UnixPath{world.path()});
  const auto credentials = pair.far.stream->peer_credentials();
  REQUIRE(credentials.has_value());
  CHECK(credentials->pid > 0);
  CHECK(pair.far.stream->local() == StreamAddress(UnixPath{world.path()}));
}

TEST_CASE_TEMPLATE("no server there", World, CONTRACT_WORLDS) {
  World world;
  const auto failed = [&](const StreamAddress& to) {
    Connector connector(world.env(), to);
    Connector with_opening(world.env(), to, "hello");
    CHECK(world.run_until([&] { return connector.result && with_opening.result; }));
    CHECK(with_opening.error() == connector.error());
    return connector.error();
  };
  StreamAddress gone;
  {
    const Acceptor acceptor(world.env(), {.on = kAnyPort});
    gone = acceptor.listener->local();
  }
  CHECK(failed(gone) == NetError::refused);
  CHECK(failed(UnixPath{world.path()}) == NetError::not_available);
  world.leave_dead_socket(world.path());
  CHECK(failed(UnixPath{world.path()}) == NetError::refused);
}

TEST_CASE_TEMPLATE("a cancelled connect calls no callback", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Acceptor acceptor(world.env(), {.on = on});
    Connector connector(world.env(), acceptor.listener->local());
    Connector with_opening(world.env(), acceptor.listener->local(), "hello");
    connector.pending.reset();
    with_opening.pending.reset();
    world.rest();
    CHECK(!connector.result);
    CHECK(!with_opening.result);
  });
}

TEST_CASE_TEMPLATE("a connection opens with the bytes it was given, before any other", World,
                   CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Acceptor acceptor(world.env(), {.on = on});
    Talker near, far;
    std::string opening = "hello, ";
    Connector connector(world.env(), acceptor.listener->local(), opening);
    opening.assign("nothing");  // they were valid during the call
    connector.on_done = [&] {
      near.take(std::move(**connector.result));
      CHECK(near.say("here I am"));
    };
    CHECK(world.run_until([&] { return near.stream && !acceptor.accepted.empty(); }));
    far.take(std::move(acceptor.accepted.front()));
    CHECK(world.run_until([&] { return far.heard == "hello, here I am"; }));
    near.stream->finish();
    CHECK(far.say("welcome"));
    CHECK(world.run_until([&] { return far.ended && near.heard == "welcome"; }));
  });
}

TEST_CASE_TEMPLATE("an opening that the peer does not take at once arrives whole", World,
                   CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Acceptor acceptor(world.env(), {.on = on});
    std::string opening;
    for (unsigned i = 0; opening.size() < kStreamUnsentBytesMax; ++i)
      opening += std::to_string(i) + ' ';
    opening.resize(kStreamUnsentBytesMax);
    Connector connector(world.env(), acceptor.listener->local(), opening);
    CHECK(world.run_until([&] { return connector.result && !acceptor.accepted.empty(); }));
    REQUIRE(connector.result->has_value());
    Talker near, far;
    near.take(std::move(**connector.result));
    CHECK(near.stream->unsent_bytes() > 0);
    far.take(std::move(acceptor.accepted.front()));
    near.stream->finish();
    CHECK(world.run_until([&] { return far.ended; }));
    CHECK((far.heard == opening));
    CHECK(near.drained == 1);

    Connector too_long(world.env(), acceptor.listener->local(), opening + '.');
    CHECK(world.run_until([&] { return too_long.result.has_value(); }));
    CHECK(too_long.error() == NetError::too_big);
    world.rest();
    CHECK(acceptor.accepted.size() == 1);  // the one taken
  });
}

TEST_CASE_TEMPLATE("an answer to the opening waits for start()", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Acceptor acceptor(world.env(), {.on = on});
    Talker near, far;
    acceptor.on_accepting = [&] { far.take(std::move(acceptor.accepted.back())); };
    far.on_hearing = [&] {
      CHECK(far.say("go away"));
      far.stream.reset();
    };
    Connector connector(world.env(), acceptor.listener->local(), "hello");
    CHECK(world.run_until([&] { return connector.result && acceptor.accepted.size() == 1; }));
    REQUIRE(connector.result->has_value());
    world.rest();
    near.take(std::move(**connector.result));
    CHECK(near.heard.empty());
    CHECK(world.run_until([&] { return near.ended; }));
    CHECK(near.heard == "go away");
  });
}

TEST_CASE_TEMPLATE("a connect may be ended by its own callback", World, CONTRACT_WORLDS) {
  World world;
  Acceptor acceptor(world.env(), {.on = kAnyPort});
  auto connector = std::make_unique<Connector>(world.env(), acceptor.listener->local());
  connector->on_done = [&] { connector->pending.reset(); };
  CHECK(world.run_until([&] { return connector->result.has_value(); }));
  CHECK(connector->result->has_value());
}

TEST_CASE_TEMPLATE("listeners that clash, take over and clean up", World, CONTRACT_WORLDS) {
  World world;
  struct Nobody final : Listener::Sink {
    void on_accept(std::unique_ptr<Stream>) override {}
  } nobody;
  const auto refused = [&](const ListenOptions& options) {
    const auto listener = world.env().network.listen(options, nobody);
    return listener ? std::nullopt : std::optional(listener.error());
  };
  Acceptor tcp(world.env(), {.on = kAnyPort});
  CHECK(refused({.on = tcp.listener->local()}) == NetError::in_use);
  CHECK(refused({.on = Endpoint{ip("192.0.2.1"), 0}}) == NetError::not_available);
  Acceptor shared(world.env(), {.on = kAnyPort, .reuse_port = true});
  CHECK(refused({.on = shared.listener->local(), .reuse_port = true}) == std::nullopt);

  const UnixPath path{world.path()};
  world.leave_dead_socket(path.path);
  {
    const Acceptor unix_socket(world.env(), {.on = path});
    CHECK(refused({.on = path}) == NetError::in_use);
  }
  Connector late(world.env(), path);
  CHECK(world.run_until([&] { return late.result.has_value(); }));
  CHECK(late.error() == NetError::not_available);
}

TEST_CASE_TEMPLATE("a paused listener accepts later", World, CONTRACT_WORLDS) {
  World world;
  Acceptor acceptor(world.env(), {.on = kAnyPort});
  acceptor.listener->set_paused(true);
  Connector connector(world.env(), acceptor.listener->local());
  CHECK(world.run_until([&] { return connector.result.has_value(); }));
  world.rest();
  CHECK(acceptor.accepted.empty());
  acceptor.listener->set_paused(false);
  CHECK(world.run_until([&] { return !acceptor.accepted.empty(); }));
}

TEST_CASE_TEMPLATE("a listener may go in its own callback", World, CONTRACT_WORLDS) {
  World world;
  Acceptor acceptor(world.env(), {.on = kAnyPort});
  acceptor.on_accepting = [&] { acceptor.listener.reset(); };
  Connector connector(world.env(), acceptor.listener->local());
  CHECK(world.run_until([&] { return acceptor.listener == nullptr && connector.result; }));
  CHECK(acceptor.accepted.size() == 1);
  CHECK(connector.result->has_value());
}

TEST_CASE_TEMPLATE("what comes before start() is not lost", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Acceptor acceptor(world.env(), {.on = on});
    Connector connector(world.env(), acceptor.listener->local());
    CHECK(world.run_until([&] { return connector.result && !acceptor.accepted.empty(); }));
    Talker near, far;
    near.take(std::move(**connector.result));
    CHECK(near.say("early"));
    near.stream.reset();
    world.rest();
    far.take(std::move(acceptor.accepted.front()));
    CHECK(far.heard.empty());
    CHECK(world.run_until([&] { return far.ended; }));
    CHECK(far.heard == "early");
  });
}

TEST_CASE_TEMPLATE("destroying ends orderly, or with a reset where asked for", World,
                   CONTRACT_WORLDS) {
  SUBCASE("orderly") {
    World world;
    Pair<World> pair(world, kAnyPort);
    pair.near.stream.reset();
    CHECK(world.run_until([&] { return pair.far.ended; }));
    CHECK(!pair.far.broken);
  }
  SUBCASE("reset") {
    World world;
    Pair<World> pair(world, kAnyPort);
    pair.near.stream->reset_on_destroy();
    pair.near.stream.reset();
    CHECK(world.run_until([&] { return pair.far.broken.has_value(); }));
    CHECK(pair.far.broken == NetError::reset);
    CHECK(pair.far.stream->write(as_bytes("x")).error() == NetError::closed);
  }
}

TEST_CASE_TEMPLATE("a stream may go in any of its callbacks", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Pair<World> hearing(world, on);
    hearing.far.on_hearing = [&] { hearing.far.stream.reset(); };
    CHECK(hearing.near.say("x"));
    hearing.near.on_ending = [&] { hearing.near.stream.reset(); };
    CHECK(world.run_until([&] { return hearing.near.stream == nullptr; }));
    CHECK(hearing.near.ended);
    CHECK(!hearing.far.ended);
  });
  World world;
  Pair<World> breaking(world, kAnyPort);
  breaking.far.on_breaking = [&] { breaking.far.stream.reset(); };
  breaking.near.stream->reset_on_destroy();
  breaking.near.stream.reset();
  CHECK(world.run_until([&] { return breaking.far.stream == nullptr; }));
  CHECK(breaking.far.broken == NetError::reset);
}

TEST_CASE_TEMPLATE("a paused stream hears nothing until it goes on", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Pair<World> pair(world, on);
    pair.far.stream->set_paused(true);
    CHECK(pair.near.say("x"));
    pair.near.stream->finish();
    world.rest();
    CHECK(pair.far.heard.empty());
    CHECK(!pair.far.ended);
    pair.far.stream->set_paused(false);
    CHECK(world.run_until([&] { return pair.far.ended; }));
    CHECK(pair.far.heard == "x");
  });
}

TEST_CASE_TEMPLATE("a write that does not fit is not taken; drained is reported once", World,
                   CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Pair<World> pair(world, on);
    pair.far.stream->set_paused(true);
    const std::string block(1U << 20, 'x');
    std::size_t written = 0;
    while (pair.near.say(block))
      written += block.size();
    CHECK(pair.near.stream->write(as_bytes(block)).error() == NetError::too_big);
    CHECK(pair.near.stream->unsent_bytes() <= kStreamUnsentBytesMax);
    CHECK(pair.near.stream->unsent_bytes() + block.size() > kStreamUnsentBytesMax);
    CHECK(pair.near.drained == 0);
    pair.far.stream->set_paused(false);
    CHECK(world.run_until([&] { return pair.far.heard.size() == written; }));
    CHECK(world.run_until([&] { return pair.near.drained > 0; }));
    world.rest();
    CHECK(pair.near.drained == 1);
    CHECK(pair.near.stream->unsent_bytes() == 0);
  });
}

TEST_CASE_TEMPLATE("finish() waits for what is unsent", World, CONTRACT_WORLDS) {
  over_both<World>([](World& world, const StreamAddress& on) {
    Pair<World> pair(world, on);
    std::string text;
    for (unsigned i = 0; text.size() < 3U << 20; ++i)
      text += std::to_string(i) + ' ';
    CHECK(pair.near.say(text));
    pair.near.stream->finish();
    CHECK(world.run_until([&] { return pair.far.ended; }));
    CHECK((pair.far.heard == text));
  });
}

}  // namespace
}  // namespace outrider::contract
