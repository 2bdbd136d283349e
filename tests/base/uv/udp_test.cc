// SPDX-License-Identifier: Apache-2.0
#include "base/uv/udp.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

const IpAddress kLoopback4 = IpAddress::loopback(IpAddress::Family::v4);
const IpAddress kLoopback6 = IpAddress::loopback(IpAddress::Family::v6);

// Keeps what it gets, and runs a hook if it has one.
struct Receiver final : UdpSocket::Sink {
  struct Copy {
    std::string payload;
    Endpoint from;
    IpAddress to;
    std::uint32_t interface;
    int hop_limit;
  };
  std::vector<Copy> got;
  std::vector<std::size_t> batches;
  std::vector<NetError> errors;
  std::function<void(std::span<const Datagram>)> hook;
  std::function<void(NetError)> error_hook;

  void on_datagrams(std::span<const Datagram> datagrams) override {
    batches.push_back(datagrams.size());
    for (const Datagram& d : datagrams)
      got.push_back({std::string(as_text(d.payload)), d.from, d.to, d.interface, d.hop_limit});
    if (hook) hook(datagrams);
  }
  void on_udp_error(NetError error) override {
    errors.push_back(error);
    if (error_hook) error_hook(error);
  }
};

std::unique_ptr<UdpSocket> open(Loop& loop, Receiver& receiver,
                                const UdpOptions& options = {.bind = {kLoopback4, 0}}) {
  auto socket = loop.network().open_udp(options, receiver);
  REQUIRE(socket.has_value());
  return std::move(*socket);
}

void send(UdpSocket& socket, std::string_view payload, const Endpoint& to) {
  REQUIRE(socket.send(as_bytes(payload), to).has_value());
}

TEST_CASE("datagrams arrive in order with their sender") {
  for (const IpAddress& address : {kLoopback4, kLoopback6}) {
    Loop loop;
    Receiver at_a, at_b;
    auto a = open(loop, at_a, {.bind = {address, 0}});
    auto b = open(loop, at_b, {.bind = {address, 0}});
    CHECK(a->local().port != 0);
    send(*a, "one", b->local());
    send(*a, "two", b->local());
    CHECK(at_b.got.empty());
    CHECK(turn_until(loop, [&] { return at_b.got.size() == 2; }));
    CHECK(at_b.got[0].payload == "one");
    CHECK(at_b.got[1].payload == "two");
    CHECK(at_b.got[0].from == a->local());
    CHECK(at_b.got[0].interface == 0);
    CHECK(at_b.got[0].hop_limit == -1);
    CHECK(at_b.batches == std::vector<std::size_t>{2});
  }
}

TEST_CASE("an empty datagram is delivered") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a);
  auto b = open(loop, at_b);
  send(*a, "", b->local());
  CHECK(turn_until(loop, [&] { return at_b.got.size() == 1; }));
  CHECK(at_b.got[0].payload.empty());
}

TEST_CASE("datagrams of every size up to the largest arrive whole, mixed in one batch") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 4U << 20});
  auto b = open(loop, at_b, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 4U << 20});
  std::vector<std::string> sent;
  char fill = 'a';
  for (const std::size_t size : {1U, 2047U, 2048U, 2049U, 9000U, 65'507U, 3U, 65'507U}) {
    std::string payload(size, fill++);
    payload.back() = '.';
    send(*a, payload, b->local());
    sent.push_back(payload);
  }
  CHECK(turn_until(loop, [&] { return at_b.got.size() == sent.size(); }));
  for (std::size_t i = 0; i < sent.size(); ++i)
    CHECK(at_b.got[i].payload == sent[i]);
  const std::string too_large(kDatagramBytesMax + 1, 'x');
  CHECK(a->send(as_bytes(too_large), b->local()).error() == NetError::too_big);
}

TEST_CASE("a batch has at most 64 datagrams and replies leave together") {
  Loop loop;
  Receiver at_client, at_server;
  auto client = open(loop, at_client, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  auto server = open(loop, at_server, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  at_server.hook = [&](std::span<const Datagram> datagrams) {
    for (const Datagram& d : datagrams)
      CHECK(server->send(d.payload, d.from).has_value());
  };
  for (int i = 0; i < 150; ++i)
    send(*client, std::to_string(i), server->local());
  CHECK(turn_until(loop, [&] { return at_client.got.size() == 150; }));
  CHECK(at_client.got.back().payload == "149");
  for (const std::size_t size : at_server.batches)
    CHECK(size <= 64);
}

TEST_CASE("bursts are read in a bounded number of rounds a turn, and answered whole") {
  Loop loop;
  Receiver at_client, at_server;
  auto client = open(loop, at_client, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  auto server = open(loop, at_server, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  at_server.hook = [&](std::span<const Datagram> datagrams) {
    for (const Datagram& d : datagrams)
      CHECK(server->send(d.payload, d.from).has_value());
  };
  constexpr std::size_t kMany = kUdpBatch * kUdpBurstRounds + kUdpBurst + 1;
  for (std::size_t i = 0; i < kMany; ++i)
    send(*client, std::to_string(i), server->local());
  while (at_server.got.empty())
    loop.turn(true);
  // Fewer on a machine on which they cost more than the budget of a turn.
  CHECK(at_server.batches.size() <= kUdpBurstRounds);
  CHECK(std::ranges::all_of(at_server.batches, [](std::size_t size) { return size == kUdpBatch; }));
  CHECK(turn_until(loop, [&] { return at_client.got.size() == kMany; }));
  CHECK(at_client.got.back().payload == std::to_string(kMany - 1));
  send(*client, "alone", server->local());
  CHECK(turn_until(loop, [&] { return at_client.got.size() == kMany + 1; }));
}

// A socket of a group of its own, and one that sends to it.
struct GroupPair {
  explicit GroupPair(Loop& loop)
      : to{IpAddress::v4(224, 0, 0, 199), 0}, sender(open(loop, at_sender, {.interface = 1})) {
    socket = open(loop, at_group,
                  {.bind = to,
                   .reuse_address = true,
                   .interface = 1,
                   .join = {to.address},
                   .receive_buffer_bytes = 1U << 20});
    to.port = socket->local().port;
  }
  void send_many(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      send(*sender, std::to_string(i), to);
  }
  Endpoint to;
  Receiver at_group, at_sender;
  std::unique_ptr<UdpSocket> socket, sender;
};

TEST_CASE("a socket of a multicast group reads a few datagrams a turn, one at a time") {
  Loop loop;
  GroupPair group(loop);
  constexpr std::size_t kMany = kUdpGroupRounds * 3;
  group.send_many(kMany);
  std::size_t before = 0, turns = 0;
  while (group.at_group.got.size() < kMany && ++turns < kMany * 2) {
    loop.turn(true);
    CHECK(group.at_group.got.size() - before <= kUdpGroupRounds);
    before = group.at_group.got.size();
  }
  CHECK(group.at_group.batches == std::vector<std::size_t>(kMany, 1));
  CHECK(group.at_group.got.back().payload == std::to_string(kMany - 1));
}

TEST_CASE("datagrams of a group that cost much leave the other sockets their turns") {
  Loop loop;
  GroupPair first(loop), second(loop);
  Receiver at_client, at_server;
  auto client = open(loop, at_client);
  auto server = open(loop, at_server);
  for (GroupPair* group : {&first, &second}) {
    group->at_group.hook = [&](std::span<const Datagram>) {
      spend_turn();
      send(*client, "query", server->local());
    };
    group->send_many(20);
  }
  std::size_t turns = 0;
  while (first.at_group.got.size() + second.at_group.got.size() < 40 && ++turns < 100) {
    const std::size_t of_first = first.at_group.got.size();
    const std::size_t of_second = second.at_group.got.size();
    const std::size_t queries = at_server.got.size();
    loop.turn(true);
    CHECK(first.at_group.got.size() - of_first <= 1);
    CHECK(second.at_group.got.size() - of_second <= 1);
    if (turns > 2) CHECK(at_server.got.size() > queries);
  }
  CHECK(first.at_group.got.size() == 20);
  CHECK(second.at_group.got.size() == 20);
}

TEST_CASE("a burst of queries that cost much is read in one round a turn") {
  Loop loop;
  Receiver at_client, at_server;
  auto client = open(loop, at_client);
  auto server = open(loop, at_server, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  at_server.hook = [](std::span<const Datagram>) { spend_turn(); };
  for (std::size_t i = 0; i < kUdpBatch * 2; ++i)
    send(*client, "x", server->local());
  while (at_server.got.empty())
    loop.turn(true);
  CHECK(at_server.batches == std::vector<std::size_t>{kUdpBatch});
  CHECK(turn_until(loop, [&] { return at_server.got.size() == kUdpBatch * 2; }));
}

TEST_CASE("a socket may be paused or destroyed amid a burst") {
  Loop loop;
  Receiver at_client, at_server;
  auto client = open(loop, at_client, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  auto server = open(loop, at_server, {.bind = {kLoopback4, 0}, .receive_buffer_bytes = 1U << 20});
  at_server.hook = [&](std::span<const Datagram>) { server->set_paused(true); };
  for (std::size_t i = 0; i < kUdpBatch * 2; ++i)
    send(*client, "x", server->local());
  CHECK(turn_until(loop, [&] { return !at_server.got.empty(); }));
  turn_idly(loop);
  CHECK(at_server.got.size() == kUdpBatch);
  at_server.hook = [&](std::span<const Datagram> datagrams) {
    send(*server, "bye", datagrams[0].from);
    server.reset();
  };
  server->set_paused(false);
  CHECK(turn_until(loop, [&] { return !at_client.got.empty(); }));
  CHECK(at_server.got.size() == kUdpBatch * 2);
  turn_idly(loop);
  CHECK(loop.open_handles() == 1);
}

TEST_CASE("packet_info tells destination, interface and hop limit, and chooses the source") {
  for (const IpAddress& address : {kLoopback4, kLoopback6}) {
    Loop loop;
    Receiver at_a, at_b;
    auto a = open(loop, at_a, {.bind = {IpAddress::any(address.family()), 0}, .packet_info = true});
    auto b = open(loop, at_b, {.bind = {IpAddress::any(address.family()), 0}, .packet_info = true});
    const Endpoint to{address, b->local().port};
    REQUIRE(a->send(as_bytes("x"), to, address, 1).has_value());
    CHECK(turn_until(loop, [&] { return at_b.got.size() == 1; }));
    CHECK(at_b.got[0].to == address);
    CHECK(at_b.got[0].interface == 1);  // lo
    CHECK(at_b.got[0].hop_limit == 64);
    CHECK(at_b.got[0].from == Endpoint{address, a->local().port});
  }
  Loop loop;
  Receiver at_a, at_b;
  const IpAddress other = IpAddress::v4(127, 3, 2, 1);
  auto a = open(loop, at_a, {.bind = {IpAddress{}, 0}, .packet_info = true});
  auto b = open(loop, at_b);
  REQUIRE(a->send(as_bytes("x"), b->local(), other).has_value());
  CHECK(turn_until(loop, [&] { return at_b.got.size() == 1; }));
  CHECK(at_b.got[0].from == Endpoint{other, a->local().port});
}

TEST_CASE("what multicast promises on the loopback interface") {
  Loop loop;
  const IpAddress group = IpAddress::v4(239, 255, 77, 1);
  Receiver at_a, at_b, at_c;
  UdpOptions options{.bind = {IpAddress{}, 0},
                     .reuse_address = true,
                     .reuse_port = true,
                     .packet_info = true,
                     .interface = 1,
                     .join = {group},
                     .multicast_hops = 255};
  auto a = open(loop, at_a, options);
  options.bind.port = a->local().port;
  auto b = open(loop, at_b, options);
  options.join.clear();
  auto c = open(loop, at_c, options);    // same port, not joined: IP_MULTICAST_ALL is off
  CHECK(b->join(group, 1).has_value());  // twice is not an error
  send(*a, "hello", {group, options.bind.port});
  CHECK(turn_until(loop, [&] { return !at_a.got.empty() && !at_b.got.empty(); }));
  CHECK(at_b.got[0].to == group);
  CHECK(at_b.got[0].interface == 1);
  CHECK(at_b.got[0].hop_limit == 255);
  b->leave(group, 1);
  b->leave(group, 1);
  send(*a, "again", {group, options.bind.port});
  CHECK(turn_until(loop, [&] { return at_a.got.size() == 2; }));
  turn_idly(loop);
  CHECK(at_b.got.size() == 1);
  CHECK(at_c.got.empty());
  CHECK(a->join(group, 0x7fff'fff0).error() == NetError::not_available);
}

TEST_CASE("an address in use, and one that is not ours") {
  Loop loop;
  Receiver receiver;
  auto a = open(loop, receiver);
  const auto same = loop.network().open_udp({.bind = a->local()}, receiver);
  REQUIRE_FALSE(same.has_value());
  CHECK(same.error() == NetError::in_use);
  const auto foreign =
      loop.network().open_udp({.bind = {IpAddress::v4(192, 0, 2, 1), 0}}, receiver);
  REQUIRE_FALSE(foreign.has_value());
  CHECK(foreign.error() == NetError::not_available);
  turn_idly(loop);
  CHECK(loop.open_handles() == 1);
}

TEST_CASE("two sockets share a port with reuse_port") {
  Loop loop;
  Receiver receiver;
  UdpOptions options{.bind = {kLoopback4, 0}, .reuse_port = true};
  auto a = open(loop, receiver, options);
  options.bind.port = a->local().port;
  auto b = open(loop, receiver, options);
  CHECK(a->local() == b->local());
}

TEST_CASE("IPv4 and IPv6 wildcards do not collide: IPv6 sockets are for IPv6 only") {
  Loop loop;
  Receiver receiver;
  auto six = open(loop, receiver, {.bind = {IpAddress::any(IpAddress::Family::v6), 0}});
  auto four = open(loop, receiver, {.bind = {IpAddress{}, six->local().port}});
  CHECK(four->local().port == six->local().port);
  CHECK(six->send(as_bytes("x"), four->local()).error() == NetError::unsupported);
}

TEST_CASE("a paused socket delivers nothing until it goes on") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a);
  auto b = open(loop, at_b);
  b->set_paused(true);
  send(*a, "kept", b->local());
  turn_idly(loop);
  CHECK(at_b.got.empty());
  b->set_paused(false);
  CHECK(turn_until(loop, [&] { return at_b.got.size() == 1; }));
}

TEST_CASE("a callback may destroy its socket, also with replies queued") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a);
  auto b = open(loop, at_b);
  at_b.hook = [&](std::span<const Datagram> datagrams) {
    send(*b, "bye", datagrams[0].from);
    b.reset();
  };
  send(*a, "x", b->local());
  CHECK(turn_until(loop, [&] { return at_a.got.size() == 1; }));
  CHECK(at_a.got[0].payload == "bye");
  turn_idly(loop);
  CHECK(loop.open_handles() == 1);
}

TEST_CASE("a datagram that is refused is dropped, told, and the ones after it leave") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a);
  auto b = open(loop, at_b);
  // Broadcast without SO_BROADCAST: the kernel says EACCES.
  send(*a, "no", {IpAddress::v4(255, 255, 255, 255), 9});
  send(*a, "yes", b->local());
  CHECK(turn_until(loop, [&] { return !at_a.errors.empty() && !at_b.got.empty(); }));
  CHECK(at_a.errors == std::vector{NetError::denied});
  CHECK(at_b.got[0].payload == "yes");
}

TEST_CASE("sockets with and without packet_info take turns at the same buffers") {
  Loop loop;
  Receiver at_plain, at_told, at_sender;
  auto plain = open(loop, at_plain);
  auto told = open(loop, at_told, {.bind = {kLoopback4, 0}, .packet_info = true});
  auto sender = open(loop, at_sender);
  for (std::size_t i = 1; i <= 3; ++i) {
    send(*sender, "x", plain->local());
    send(*sender, "x", told->local());
    send(*sender, "y", told->local());
    CHECK(
        turn_until(loop, [&] { return at_plain.got.size() == i && at_told.got.size() == 2 * i; }));
    CHECK(at_plain.got.back().to.is_any());
    CHECK(at_told.got.back().to == kLoopback4);
    CHECK(at_told.got.back().from == sender->local());
  }
}

TEST_CASE("an error callback may destroy its socket") {
  Loop loop;
  Receiver receiver;
  auto a = open(loop, receiver);
  receiver.error_hook = [&](NetError) { a.reset(); };
  for (int i = 0; i < 3; ++i)
    send(*a, "no", {IpAddress::v4(255, 255, 255, 255), 9});
  CHECK(turn_until(loop, [&] { return a == nullptr; }));
  CHECK(receiver.errors.size() == 1);
}

TEST_CASE("refusals beyond kUdpErrorsMax are not told one by one") {
  Loop loop;
  Receiver receiver;
  auto a = open(loop, receiver);
  for (int i = 0; i < 200; ++i)
    send(*a, "no", {IpAddress::v4(255, 255, 255, 255), 9});
  CHECK(turn_until(loop, [&] { return !receiver.errors.empty(); }));
  turn_idly(loop);
  CHECK(receiver.errors.size() == kUdpErrorsMax);
}

TEST_CASE("the send queue is bounded") {
  Loop loop;
  Receiver receiver;
  auto a = open(loop, receiver);
  const std::string large(kDatagramBytesMax, 'x');
  std::size_t taken = 0;
  while (a->send(as_bytes(large), a->local()).has_value())
    ++taken;
  CHECK(taken == kUdpSendQueueBytesMax / kDatagramBytesMax);
  loop.turn(false);  // sent, or dropped by the receiver's full buffer
  CHECK(a->send(as_bytes(large), a->local()).has_value());
}

TEST_CASE("the send queue is bounded for datagrams without payload too") {
  Loop loop;
  Receiver receiver;
  auto a = open(loop, receiver);
  std::size_t taken = 0;
  while (taken <= kUdpSendQueueMax && a->send({}, a->local()).has_value())
    ++taken;
  CHECK(taken == kUdpSendQueueMax);
}

TEST_CASE("datagrams sent outside of a callback leave by the end of the turn") {
  Loop loop;
  Receiver at_a, at_b;
  auto a = open(loop, at_a);
  auto b = open(loop, at_b);
  const Timer timer = loop.timers().at(loop.clock().now(), [&] { send(*a, "x", b->local()); });
  CHECK(turn_until(
      loop, [&] { return !at_b.got.empty(); }, 4));
}

}  // namespace
#ifndef __SANITIZE_ADDRESS__  // it keeps address space of its own
TEST_CASE("without address space, memory is out") {
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    // Enough for the object, too little for what it maps.
    const rlim_t most = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (2U << 20);
    const rlimit limit{most, most};
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      std::make_unique<UdpArea>();
    } catch (const std::bad_alloc&) {
      ::_exit(0);
    }
    ::_exit(1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
#endif

}  // namespace outrider::uv
