// SPDX-License-Identifier: Apache-2.0
#include "base/uv/sock_diag.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/uv/loop.h"
#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

struct Nobody final : Listener::Sink {
  void on_accept(std::unique_ptr<Stream> stream) override { streams.push_back(std::move(stream)); }
  std::vector<std::unique_ptr<Stream>> streams;
};

TEST_CASE("the kernel lists the sockets that listen, with their addresses") {
  Loop loop;
  Nobody nobody;
  for (const char* text : {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0"}) {
    const auto listener = loop.network().listen({.on = *Endpoint::parse(text)}, nobody);
    if (!listener) continue;  // a machine without IPv6
    const Endpoint local = std::get<Endpoint>((*listener)->local());
    const auto listed = list_listeners();
    REQUIRE(listed);
    const auto found = std::ranges::find(*listed, local, &TcpListener::local);
    REQUIRE(found != listed->end());
    CHECK(found->inode != 0);
  }
  loop.turn(false);
}

TEST_CASE("a list of listeners ends at its limit") {
  Loop loop;
  Nobody nobody;
  std::vector<std::unique_ptr<Listener>> listeners;
  for (int i = 0; i < 3; ++i)
    listeners.push_back(*loop.network().listen({.on = *Endpoint::parse("127.0.0.1:0")}, nobody));
  CHECK(list_listeners(2)->size() == 2);
  CHECK(list_listeners()->size() >= 3);
  static_assert(kListenersMax >= 16'384);
}

TEST_CASE("a count of connections looks at no more than its limit") {
  Loop loop;
  Nobody nobody;
  const auto listener = *loop.network().listen({.on = *Endpoint::parse("127.0.0.1:0")}, nobody);
  const Endpoint to = std::get<Endpoint>(listener->local());
  std::vector<std::unique_ptr<Pending>> pending;
  for (int i = 0; i < 3; ++i)
    pending.push_back(loop.network().connect({.to = to}, [&](auto result) {
      if (result) nobody.streams.push_back(std::move(*result));
    }));
  REQUIRE(turn_until(loop, [&] { return nobody.streams.size() == 6; }));
  const auto counted = [&](std::size_t most) {
    const auto counts = count_sockets(std::span(&to, 1), most);
    const auto found = counts->find(to);
    return found == counts->end() ? 0U : found->second.connections;
  };
  CHECK(counted(kSocketsCountedMax) == 3);
  CHECK(counted(0) == 0);
  CHECK(counted(1) <= 1);
}

TEST_CASE("connections are counted by their far end") {
  const Endpoint nowhere = *Endpoint::parse("127.0.0.99:9");
  const auto counts = count_sockets(std::span(&nowhere, 1));
  REQUIRE(counts);
  CHECK(counts->empty());
}

}  // namespace
}  // namespace outrider::uv
