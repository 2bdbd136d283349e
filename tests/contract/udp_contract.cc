// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/contract/net_contract.h"
#include "tests/contract/worlds.h"

namespace outrider::contract {
namespace {

using Texts = std::vector<std::string>;

NetError why(Env& env, const UdpOptions& options) {
  struct Deaf final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } deaf;
  const auto opened = env.network.open_udp(options, deaf);
  REQUIRE(!opened.has_value());
  return opened.error();
}

TEST_CASE_TEMPLATE("datagrams arrive whole, in order, the empty ones too", World, CONTRACT_WORLDS) {
  World world;
  Ear near(world.env(), {.bind = endpoint("127.0.0.1:0")});
  Ear far(world.env(), {.bind = endpoint("127.0.0.1:0")});
  const Texts texts = {"one", "", "three", std::string(9'000, 'x'), std::string(60'000, 'y')};
  for (const std::string& text : texts)
    near.send(text, far.socket->local());
  CHECK(far.heard.empty());
  CHECK(world.run_until([&] { return far.heard.size() == texts.size(); }));
  CHECK(far.heard == texts);
  CHECK(far.datagrams.back().from == near.socket->local());
  CHECK(far.datagrams.back().to.is_any());
  CHECK(far.datagrams.back().interface == 0);
  CHECK(far.datagrams.back().hop_limit == -1);
}

TEST_CASE_TEMPLATE("packet info tells where a datagram was sent to", World, CONTRACT_WORLDS) {
  World world;
  Ear near(world.env(), {.bind = endpoint("0.0.0.0:0"), .packet_info = true});
  Ear far(world.env(), {.bind = endpoint("0.0.0.0:0"), .packet_info = true});
  const Endpoint to{ip("127.0.0.9"), far.socket->local().port};
  REQUIRE(near.socket->send(as_bytes("x"), to, ip("127.0.0.7")).has_value());
  CHECK(world.run_until([&] { return !far.heard.empty(); }));
  const Datagram& got = far.datagrams.front();
  CHECK(got.from.address == ip("127.0.0.7"));
  CHECK(got.to == ip("127.0.0.9"));
  CHECK(got.interface == 1);
  CHECK(got.hop_limit == 64);
}

TEST_CASE_TEMPLATE("binds that clash, and those that share", World, CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  Ear first(env, {.bind = endpoint("127.0.0.1:0")});
  const Endpoint taken = first.socket->local();
  CHECK(taken.port != 0);
  CHECK(why(env, {.bind = taken}) == NetError::in_use);
  CHECK(why(env, {.bind = taken, .reuse_address = true}) == NetError::in_use);
  CHECK(why(env, {.bind = {ip("0.0.0.0"), taken.port}}) == NetError::in_use);
  CHECK(why(env, {.bind = endpoint("192.0.2.1:0")}) == NetError::not_available);
  Ear other(env, {.bind = {ip("127.0.0.2"), taken.port}});
  CHECK(other.socket->local() == Endpoint{ip("127.0.0.2"), taken.port});

  Ear one(env, {.bind = endpoint("127.0.0.1:0"), .reuse_port = true});
  Ear two(env, {.bind = one.socket->local(), .reuse_port = true});
  CHECK(why(env, {.bind = one.socket->local(), .reuse_address = true}) == NetError::in_use);
}

UdpOptions group_options(std::uint16_t port) {
  return {.bind = {ip("0.0.0.0"), port},
          .reuse_address = true,
          .packet_info = true,
          .interface = 1,
          .join = {ip("224.0.0.251")},
          .multicast_hops = 255};
}

TEST_CASE_TEMPLATE("multicast reaches every socket that has joined", World, CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  Ear one(env, group_options(0));
  const std::uint16_t port = one.socket->local().port;
  Ear two(env, group_options(port));
  UdpOptions stranger = group_options(port);
  stranger.join.clear();
  Ear outside(env, stranger);
  const Endpoint group{ip("224.0.0.251"), port};
  one.send("all", group);
  CHECK(world.run_until([&] { return !one.heard.empty() && !two.heard.empty(); }));
  world.rest();
  CHECK(one.heard == Texts{"all"});
  CHECK(two.heard == Texts{"all"});
  CHECK(outside.heard.empty());
  CHECK(two.datagrams.front().to == group.address);
  CHECK(two.datagrams.front().interface == 1);
  CHECK(two.datagrams.front().hop_limit == 255);

  CHECK(one.socket->join(group.address, 1).has_value());
  two.socket->leave(group.address, 1);
  one.send("again", group);
  CHECK(world.run_until([&] { return one.heard.size() == 2; }));
  world.rest();
  CHECK(two.heard.size() == 1);
  CHECK(one.socket->join(group.address, 4'000'000).error() == NetError::not_available);
}

TEST_CASE_TEMPLATE("a socket that is bound to a group gets one datagram at a time", World,
                   CONTRACT_WORLDS) {
  struct Counter final : UdpSocket::Sink {
    std::vector<std::size_t> sizes;
    void on_datagrams(std::span<const Datagram> datagrams) override {
      sizes.push_back(datagrams.size());
    }
  } counter;
  World world;
  Env& env = world.env();
  UdpOptions options = group_options(0);
  options.bind.address = ip("224.0.0.251");
  const auto socket = env.network.open_udp(options, counter);
  REQUIRE(socket.has_value());
  const std::uint16_t port = (*socket)->local().port;
  Ear sender(env, group_options(0));
  for (int i = 0; i < 40; ++i)
    sender.send("x", {ip("224.0.0.251"), port});
  CHECK(world.run_until([&] { return counter.sizes.size() == 40; }));
  CHECK(counter.sizes == std::vector<std::size_t>(40, 1));
}

TEST_CASE_TEMPLATE("of several sockets the one bound last gets unicast", World, CONTRACT_WORLDS) {
  World world;
  Env& env = world.env();
  Ear one(env, group_options(0));
  const std::uint16_t port = one.socket->local().port;
  Ear two(env, group_options(port));
  Ear sender(env, {.bind = endpoint("127.0.0.1:0")});
  for (int i = 0; i < 5; ++i)
    sender.send("x", {ip("127.0.0.1"), port});
  CHECK(world.run_until([&] { return two.heard.size() == 5; }));
  CHECK(one.heard.empty());
}

TEST_CASE_TEMPLATE("a paused socket keeps what comes for later", World, CONTRACT_WORLDS) {
  World world;
  Ear near(world.env(), {.bind = endpoint("127.0.0.1:0")});
  Ear far(world.env(), {.bind = endpoint("127.0.0.1:0")});
  far.socket->set_paused(true);
  near.send("x", far.socket->local());
  world.rest();
  CHECK(far.heard.empty());
  far.socket->set_paused(false);
  CHECK(far.heard.empty());
  CHECK(world.run_until([&] { return !far.heard.empty(); }));
}

TEST_CASE_TEMPLATE("what cannot be sent is refused at once", World, CONTRACT_WORLDS) {
  World world;
  Ear near(world.env(), {.bind = endpoint("127.0.0.1:0")});
  const std::string long_text(kDatagramBytesMax + 1, 'x');
  const Endpoint to = endpoint("127.0.0.1:9");
  CHECK(near.socket->send(as_bytes(long_text), to).error() == NetError::too_big);
  CHECK(near.socket->send(as_bytes("x"), {IpAddress::loopback(IpAddress::Family::v6), 9}).error() ==
        NetError::unsupported);
  std::size_t taken = 0;
  while (near.socket->send(as_bytes(long_text).first(60'000), to).has_value())
    ++taken;
  CHECK(taken == kUdpSendQueueBytesMax / 60'000);
}

TEST_CASE_TEMPLATE("a socket may go in its own callback", World, CONTRACT_WORLDS) {
  World world;
  Ear near(world.env(), {.bind = endpoint("127.0.0.1:0")});
  Ear far(world.env(), {.bind = endpoint("127.0.0.1:0")});
  const Endpoint to = far.socket->local();
  far.on_hearing = [&] { far.socket.reset(); };
  near.send("x", to);
  CHECK(world.run_until([&] { return far.socket == nullptr; }));
  near.send("y", to);
  world.rest();
  CHECK(far.heard == Texts{"x"});
}

TEST_CASE_TEMPLATE("what was sent leaves although the socket goes", World, CONTRACT_WORLDS) {
  World world;
  Ear far(world.env(), {.bind = endpoint("127.0.0.1:0")});
  {
    Ear near(world.env(), {.bind = endpoint("127.0.0.1:0")});
    near.send("goodbye", far.socket->local());
  }
  CHECK(world.run_until([&] { return far.heard == Texts{"goodbye"}; }));
}

TEST_CASE_TEMPLATE("answers of a callback leave, and reach the asker", World, CONTRACT_WORLDS) {
  World world;
  Ear client(world.env(), {.bind = endpoint("127.0.0.1:0")});
  Ear server(world.env(), {.bind = endpoint("127.0.0.1:0")});
  server.on_hearing = [&] { server.send("answer", server.datagrams.back().from); };
  client.send("question", server.socket->local());
  CHECK(world.run_until([&] { return client.heard == Texts{"answer"}; }));
}

TEST_CASE_TEMPLATE("the interfaces list the loopback first", World, CONTRACT_WORLDS) {
  World world;
  const std::vector<Interface> all = world.env().network.interfaces();
  REQUIRE(!all.empty());
  CHECK(all.front().index == 1);
  CHECK(all.front().loopback);
  CHECK(all.front().up);
  const auto& addresses = all.front().addresses;
  CHECK(std::find(addresses.begin(), addresses.end(), Prefix::parse("127.0.0.1/8")) !=
        addresses.end());
  for (std::size_t i = 1; i < all.size(); ++i)
    CHECK(all[i - 1].index < all[i].index);
}

}  // namespace
}  // namespace outrider::contract
