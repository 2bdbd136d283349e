// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::sim {
namespace {

struct Ear final : UdpSocket::Sink {
  void on_datagrams(std::span<const Datagram> datagrams) override {
    ++batches;
    for (const Datagram& datagram : datagrams) {
      texts.emplace_back(as_text(datagram.payload));
      last = datagram;
      last.payload = {};
    }
  }
  void on_udp_error(NetError error) override { errors.push_back(error); }
  std::vector<std::string> texts;
  std::vector<NetError> errors;
  Datagram last;
  int batches = 0;
};

struct Socket {
  Ear ear;
  std::unique_ptr<UdpSocket> socket;
  Socket(Host& host, const UdpOptions& options)
      : socket(*host.env().network.open_udp(options, ear)) {}
  void send(std::string_view text, const char* to) {
    CHECK(socket->send(as_bytes(text), *Endpoint::parse(to)).has_value());
  }
};

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

UdpOptions mdns_options(std::uint32_t interface) {
  return {.bind = {ip("0.0.0.0"), 5353},
          .reuse_address = true,
          .packet_info = true,
          .interface = interface,
          .join = {ip("224.0.0.251")},
          .multicast_hops = 255};
}

struct Lan {
  World world{3};
  Link& link = world.link("lan");
  Host& a = world.host("a");
  Host& b = world.host("b");
  std::uint32_t on_a = a.attach("eth0", link, {"10.0.0.1/24", "fe80::a/64"});
  std::uint32_t on_b = b.attach("eth0", link, {"10.0.0.2/24", "fe80::b/64"});
};

TEST_CASE("unicast over a link, with delay and packet info") {
  Lan lan;
  Socket from(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  Socket to(lan.b, {.bind = {ip("0.0.0.0"), 53}, .packet_info = true});
  from.send("hello", "10.0.0.2:53");
  from.send("", "10.0.0.2:53");
  CHECK(to.ear.texts.empty());
  lan.world.advance(199us);
  CHECK(to.ear.texts.empty());
  lan.world.advance(1us);
  CHECK(to.ear.texts == std::vector<std::string>{"hello", ""});
  CHECK(to.ear.batches == 1);
  CHECK(to.ear.last.from == Endpoint{ip("10.0.0.1"), from.socket->local().port});
  CHECK(to.ear.last.to == ip("10.0.0.2"));
  CHECK(to.ear.last.interface == lan.on_b);
  CHECK(to.ear.last.hop_limit == 64);
  CHECK(lan.link.capture().size() == 2);
}

TEST_CASE("link-local senders carry the receiver's scope") {
  Lan lan;
  Socket from(lan.a, {.bind = {ip("::"), 9}});
  Socket to(lan.b, {.bind = {ip("::"), 9}, .join = {ip("ff02::fb")}});
  CHECK(from.socket->send(as_bytes("x"), {ip("ff02::fb"), 9}, {}, lan.on_a).has_value());
  lan.world.settle();
  CHECK(to.ear.last.from.to_string() == "[fe80::a%2]:9");
}

TEST_CASE("multicast reaches every member of every host, ours by the loopback option") {
  Lan lan;
  Socket one(lan.a, mdns_options(lan.on_a));
  Socket two(lan.a, mdns_options(lan.on_a));
  Socket three(lan.b, mdns_options(lan.on_b));
  one.send("q", "224.0.0.251:5353");
  lan.world.settle();
  CHECK(one.ear.texts.size() == 1);
  CHECK(two.ear.texts.size() == 1);
  CHECK(three.ear.texts.size() == 1);
  CHECK(three.ear.last.hop_limit == 255);

  UdpOptions quiet = mdns_options(lan.on_a);
  quiet.multicast_loopback = false;
  Socket four(lan.a, quiet);
  four.send("r", "224.0.0.251:5353");
  lan.world.settle();
  CHECK(one.ear.texts.size() == 1);
  CHECK(three.ear.texts.size() == 2);

  three.socket->leave(ip("224.0.0.251"), lan.on_b);
  one.send("s", "224.0.0.251:5353");
  lan.world.settle();
  CHECK(three.ear.texts.size() == 2);
}

TEST_CASE("unicast reaches one socket: the last bound, or one by hash") {
  Lan lan;
  Socket sender(lan.b, {.bind = {ip("0.0.0.0"), 0}});
  SUBCASE("reuse_address only") {
    Socket one(lan.a, mdns_options(lan.on_a));
    Socket two(lan.a, mdns_options(lan.on_a));
    for (int i = 0; i < 10; ++i)
      sender.send("q", "10.0.0.1:5353");
    lan.world.settle();
    CHECK(one.ear.texts.empty());
    CHECK(two.ear.texts.size() == 10);
  }
  SUBCASE("reuse_port spreads flows") {
    UdpOptions options = mdns_options(lan.on_a);
    options.reuse_port = true;
    Socket one(lan.a, options);
    Socket two(lan.a, options);
    for (int i = 0; i < 60; ++i) {
      Socket other(lan.b, {.bind = {ip("0.0.0.0"), 0}});
      other.send("q", "10.0.0.1:5353");
      lan.world.settle();
    }
    CHECK(one.ear.texts.size() > 10);
    CHECK(two.ear.texts.size() > 10);
    CHECK(one.ear.texts.size() + two.ear.texts.size() == 60);
  }
  SUBCASE("a socket bound to the group never takes unicast away") {
    Socket wide(lan.a, mdns_options(lan.on_a));
    UdpOptions narrow = mdns_options(lan.on_a);
    narrow.bind.address = ip("224.0.0.251");
    Socket group(lan.a, narrow);
    sender.send("q", "10.0.0.1:5353");
    lan.world.settle();
    CHECK(wide.ear.texts.size() == 1);
    CHECK(group.ear.texts.empty());
    sender.send("m", "224.0.0.251:5353");
    lan.world.settle();
    CHECK(group.ear.texts.size() == 1);
  }
}

TEST_CASE("binds that clash or cannot be") {
  Lan lan;
  Ear ear;
  Network& net = lan.a.env().network;
  const auto why = [&](const UdpOptions& options) {
    const auto opened = net.open_udp(options, ear);
    return opened ? NetError::failed : opened.error();
  };
  Socket one(lan.a, {.bind = {ip("0.0.0.0"), 5353}, .reuse_port = true});
  CHECK(why({.bind = {ip("0.0.0.0"), 5353}, .reuse_address = true}) == NetError::in_use);
  CHECK(why({.bind = {ip("10.0.0.1"), 5353}}) == NetError::in_use);
  CHECK(why({.bind = {ip("10.0.0.9"), 5353}}) == NetError::not_available);
  CHECK(why({.bind = {ip("::"), 5353}}) == NetError::failed);
  lan.a.set_privileged(false);
  CHECK(why({.bind = {ip("0.0.0.0"), 53}}) == NetError::denied);
}

TEST_CASE("loss, duplicates and reordering come from the seed") {
  const auto run = [](std::uint64_t seed) {
    World world(seed);
    Link& link = world.link("lan");
    Host& a = world.host("a");
    Host& b = world.host("b");
    a.attach("eth0", link, {"10.0.0.1/24"});
    b.attach("eth0", link, {"10.0.0.2/24"});
    link.quality.loss_percent = 20;
    link.quality.duplicate_percent = 20;
    link.quality.reorder_percent = 20;
    Socket from(a, {.bind = {ip("0.0.0.0"), 7}});
    Socket to(b, {.bind = {ip("0.0.0.0"), 7}});
    for (int i = 0; i < 200; ++i) {
      from.send(std::to_string(i), "10.0.0.2:7");
      world.advance(1ms);
    }
    world.settle();
    return to.ear.texts;
  };
  const auto texts = run(1);
  const std::set<std::string> distinct(texts.begin(), texts.end());
  CHECK(distinct.size() < 180);
  CHECK(distinct.size() > 130);
  CHECK(texts.size() > distinct.size());
  std::vector<int> numbers;
  for (const std::string& text : texts)
    numbers.push_back(std::stoi(text));
  CHECK(!std::is_sorted(numbers.begin(), numbers.end()));
  CHECK(run(1) == texts);
  CHECK(run(2) != texts);
}

TEST_CASE("a filter drops what it does not like; injected datagrams may lie") {
  Lan lan;
  Socket to(lan.b, {.bind = {ip("0.0.0.0"), 7}});
  lan.link.set_filter([](const WireDatagram& datagram) { return datagram.payload.size() > 1; });
  lan.link.inject({ip("192.0.2.9"), 1}, {ip("10.0.0.2"), 7}, as_bytes("x"));
  lan.link.inject({ip("192.0.2.9"), 1}, {ip("10.0.0.2"), 7}, as_bytes("xy"));
  lan.world.settle();
  CHECK(to.ear.texts == std::vector<std::string>{"xy"});
  CHECK(to.ear.last.from.to_string() == "192.0.2.9:1");
}

TEST_CASE("loopback, and our own address by way of it") {
  Lan lan;
  Socket server(lan.a, {.bind = {ip("0.0.0.0"), 53}, .packet_info = true});
  Socket client(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  client.send("x", "127.0.0.55:53");
  lan.world.settle();
  CHECK(server.ear.last.from.address == ip("127.0.0.55"));
  CHECK(server.ear.last.interface == 1);
  client.send("y", "10.0.0.1:53");
  lan.world.settle();
  CHECK(server.ear.texts.back() == "y");
  CHECK(lan.link.capture().empty());
  CHECK(lan.a.loopback().capture().size() == 2);
}

TEST_CASE("multicast on the loopback reaches two sockets where it is asked for") {
  World world;
  UdpOptions options = mdns_options(1);
  Socket one(world.host("here"), options);
  Socket two(world.host("here"), options);
  one.send("q", "224.0.0.251:5353");
  world.settle();
  CHECK(one.ear.texts.size() == 1);
  CHECK(two.ear.texts.size() == 1);
}

TEST_CASE("no way to go is reported later, and the socket lives on") {
  Lan lan;
  Socket from(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  from.send("x", "192.0.2.1:53");
  CHECK(from.ear.errors.empty());
  lan.world.settle();
  CHECK(from.ear.errors == std::vector{NetError::unreachable});
  lan.link.set_up(false);
  from.send("x", "10.0.0.2:53");
  lan.world.settle();
  CHECK(from.ear.errors.size() == 2);
}

TEST_CASE("a default route reaches other links") {
  Lan lan;
  Host& far = lan.world.host("far");
  far.attach("eth0", lan.world.link("internet"), {"192.0.2.1/24"});
  far.set_default_route("eth0");
  lan.a.set_default_route("eth0");
  Socket server(far, {.bind = {ip("0.0.0.0"), 53}});
  Socket client(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  client.send("x", "192.0.2.1:53");
  lan.world.settle();
  REQUIRE(server.ear.texts.size() == 1);
  server.send("y", server.ear.last.from.to_string().c_str());
  lan.world.settle();
  CHECK(client.ear.texts == std::vector<std::string>{"y"});
}

TEST_CASE("a paused socket queues up to its buffer") {
  Lan lan;
  Socket to(lan.b, {.bind = {ip("0.0.0.0"), 7}, .receive_buffer_bytes = 100});
  Socket from(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  to.socket->set_paused(true);
  for (int i = 0; i < 20; ++i)
    from.send("0123456789", "10.0.0.2:7");
  lan.world.settle();
  CHECK(to.ear.texts.empty());
  to.socket->set_paused(false);
  lan.world.settle();
  CHECK(to.ear.texts.size() == 10);
}

TEST_CASE("limits: datagram size, send queue, memberships, batch") {
  Lan lan;
  Socket from(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  Socket to(lan.b, {.bind = {ip("0.0.0.0"), 7}});
  const std::vector<std::uint8_t> big(kDatagramBytesMax + 1);
  const Endpoint there{ip("10.0.0.2"), 7};
  CHECK(from.socket->send(big, there).error() == NetError::too_big);
  const Bytes most = Bytes(big).first(kDatagramBytesMax);
  std::size_t taken = 0;
  while (from.socket->send(most, there).has_value())
    ++taken;
  CHECK(taken == kUdpSendQueueBytesMax / kDatagramBytesMax);
  lan.world.settle();
  CHECK(from.socket->send(most, there).has_value());
  for (unsigned i = 0; i < kMembershipsMax; ++i)
    CHECK(from.socket->join(IpAddress::v4(224, 0, 1, static_cast<std::uint8_t>(i)), 0).has_value());
  CHECK(from.socket->join(ip("224.0.1.0"), 0).has_value());
  CHECK(from.socket->join(ip("224.0.2.1"), 0).error() == NetError::no_resources);
  lan.world.settle();
  to.ear.batches = 0;
  for (int i = 0; i < 130; ++i)
    from.send("x", "10.0.0.2:7");
  lan.world.settle();
  CHECK(to.ear.batches == 3);
}

TEST_CASE("a sleeping host hears nothing") {
  Lan lan;
  Socket from(lan.a, {.bind = {ip("0.0.0.0"), 0}});
  Socket to(lan.b, {.bind = {ip("0.0.0.0"), 7}});
  lan.b.sleep();
  from.send("x", "10.0.0.2:7");
  lan.world.settle();
  lan.b.wake();
  from.send("y", "10.0.0.2:7");
  lan.world.settle();
  CHECK(to.ear.texts == std::vector<std::string>{"y"});
}

}  // namespace
}  // namespace outrider::sim
