// SPDX-License-Identifier: Apache-2.0
#include "base/uv/sock_diag.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/uv/loop.h"

namespace outrider::uv {
namespace {

TEST_CASE("the kernel lists the sockets that listen, with their addresses") {
  struct Nobody final : Listener::Sink {
    void on_accept(std::unique_ptr<Stream>) override {}
  } nobody;
  Loop loop;
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

TEST_CASE("connections are counted by their far end") {
  const Endpoint nowhere = *Endpoint::parse("127.0.0.99:9");
  const auto counts = count_sockets(std::span(&nowhere, 1));
  REQUIRE(counts);
  CHECK(counts->empty());
}

}  // namespace
}  // namespace outrider::uv
