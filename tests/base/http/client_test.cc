// SPDX-License-Identifier: Apache-2.0
#include "base/http/client.h"

#include <optional>

#include <doctest/doctest.h>

#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::http;

TEST_CASE("a request goes no further than its reach, and says so once, later") {
  sim::World world{7};
  sim::Link& lan = world.link("lan");
  sim::Host& us = world.host("us");
  sim::Host& them = world.host("them");
  us.attach("eth0", lan, {"10.0.0.1/24"});
  them.attach("eth0", lan, {"10.0.0.2/24"});
  sim::HttpServer here{us.env(), 80};
  sim::HttpServer there{them.env(), 80};
  for (sim::HttpServer* server : {&here, &there})
    server->set("/", {.status = 200, .body = "ok"});
  const auto ask = [&](const char* to, Reach reach) {
    ClientRequest request;
    request.to = *Endpoint::parse(to);
    request.reach = reach;
    std::optional<std::string> outcome;
    const auto pending = fetch(us.env(), std::move(request), [&](auto response) {
      REQUIRE(!outcome);
      outcome = response ? response->body : response.error().text;
    });
    CHECK(!outcome);
    world.advance(1s);
    return outcome.value_or("nothing");
  };
  CHECK(ask("10.0.0.1:80", Reach::this_host) == "ok");
  CHECK(ask("127.0.0.1:80", Reach::this_host) == "ok");
  CHECK(ask("10.0.0.2:80", Reach::any_host) == "ok");
  CHECK(ask("10.0.0.2:80", Reach::lan) == "ok");
  const std::size_t asked = here.requests().size() + there.requests().size();
  CHECK(ask("10.0.0.2:80", Reach::this_host).find("not an address of this host") !=
        std::string::npos);
  CHECK(ask("127.0.0.1:80", Reach::lan).find("loopback") != std::string::npos);
  CHECK(ask("169.254.169.254:80", Reach::any_host).find("link-local") != std::string::npos);
  CHECK(here.requests().size() + there.requests().size() == asked);
}

TEST_CASE("a refused request that is cancelled calls no callback") {
  sim::World world{7};
  ClientRequest request;
  request.to = *Endpoint::parse("10.0.0.2:80");
  bool called = false;
  auto pending = fetch(world.env(), std::move(request), [&](auto) { called = true; });
  pending.reset();
  world.advance(1s);
  CHECK(!called);
}
