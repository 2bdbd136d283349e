// SPDX-License-Identifier: Apache-2.0
#include "base/http2/connection.h"

#include <doctest/doctest.h>

#include "tests/base/http2/client.h"
#include "tests/base/http2/echo.h"

using namespace outrider;
using namespace outrider::http2;
using namespace outrider::test;

using Fixture = EchoFixture;

TEST_CASE_FIXTURE(Fixture, "a response waits for the flow control of its stream alone") {
  H2Client client(world, kSocket);
  echo.big = 100'000;
  client.set_window_closed(true);
  const int big = client.get("/big");
  CHECK(client.wait(big).body.size() == kStreamWindowBytes);
  CHECK_FALSE(client.at(big).closed);
  client.open_windows();
  CHECK(client.wait(big).body.size() == 100'000);
  CHECK(client.at(big).trailers.at("end") == "yes");
  CHECK(client.at(big).closed);
}

TEST_CASE_FIXTURE(Fixture,
                  "a client that does not read costs bounded memory, then its connection") {
  H2Client client(world, kSocket);
  CHECK(client.wait(client.get("/first")).closed);
  echo.big = 300'000;
  client.set_paused(true);
  for (int i = 0; i < 100; ++i)
    client.get("/big");
  world.advance(1s);
  // What is beyond the limit is not begun.
  CHECK(echo.turns < 10);
  CHECK(clients.queued() < kUnsentBytesMax + 2 * echo.big);
  CHECK(clients.queued() > 0);
  CHECK(echo.open > 0);

  SUBCASE("when it reads on, all is answered") {
    client.set_paused(false);
    world.advance(5s);
    CHECK(echo.turns == 101);
    CHECK(echo.open == 0);
    CHECK(clients.queued() == 0);
  }
  SUBCASE("else it is dropped after kStallTimeout") {
    world.advance(kStallTimeout + 1s);
    CHECK(server.connection_count() == 0);
    CHECK(server.counters().clients_lagged == 1);
    CHECK(echo.open == 0);
    CHECK(world.host("here").log().count("http_client_lagged") == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "clients that do not read are dropped for what they cost together") {
  echo.big = 1'000'000;
  std::vector<std::unique_ptr<H2Client>> all;
  for (int i = 0; i < 40; ++i) {
    all.push_back(std::make_unique<H2Client>(world, kSocket));
    all.back()->set_window_closed(true);
    all.back()->get("/big");
    world.advance(10ms);
    CHECK(clients.queued() <= http::kQueuesBytesMax);
  }
  CHECK(server.counters().clients_lagged > 0);
  CHECK(server.counters().clients_lagged == clients.evicted());
  CHECK(server.connection_count() + clients.evicted() == 40);
  world.advance(1s);
  CHECK(echo.open == static_cast<int>(server.connection_count()));
}

TEST_CASE_FIXTURE(Fixture, "the body of a request waits until the receiver takes it") {
  H2Client client(world, kSocket);
  const std::string body(kStreamWindowBytes + 1'000, 'b');
  const int waiting = client.ask("POST", "/wait", {}, &body);
  world.advance(100ms);
  CHECK(echo.open == 1);
  CHECK(echo.turns == 0);  // not complete
  // Other requests of the connection go on.
  CHECK(client.wait(client.ask("POST", "/x", {}, &body)).body.size() == body.size() + 8);
  echo.requests.front()->responder.consume(body.size());
  world.settle(1s);
  client.reset(waiting);
  CHECK(client.wait(client.get("/y")).closed);
}

TEST_CASE_FIXTURE(Fixture, "streams that end with their body untaken give it back") {
  H2Client client(world, kSocket);
  const std::string body(60'000, 'b');
  for (std::size_t i = 0; i < 2 * kConnectionWindowBytes / body.size(); ++i) {
    const int id = client.ask("POST", "/wait", {}, nullptr);
    client.send(id, body);
    world.advance(50ms);
    client.reset(id);
    world.advance(50ms);
  }
  CHECK(client.wait(client.ask("POST", "/x", {}, &body)).body.size() == body.size() + 8);
}

TEST_CASE_FIXTURE(Fixture, "a response may end before its request") {
  H2Client client(world, kSocket);
  const int id = client.ask("POST", "/early", {}, nullptr);
  const auto& response = client.wait(id);
  CHECK(response.status == "200");
  CHECK(response.trailers.at("end") == "yes");
  CHECK(response.closed);
  CHECK(response.error == NGHTTP2_NO_ERROR);
  CHECK(echo.open == 0);
}

TEST_CASE_FIXTURE(Fixture, "a request hears of its end when the client resets it or leaves") {
  H2Client client(world, kSocket);
  const int id = client.get("/hold");
  client.get("/hold");
  world.advance(10ms);
  CHECK(echo.open == 2);
  client.reset(id);
  world.advance(10ms);
  CHECK(echo.open == 1);
  client.close();
  world.advance(10ms);
  CHECK(echo.open == 0);
  CHECK(server.connection_count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a connection without requests is closed after kIdleTimeout") {
  H2Client client(world, kSocket);
  CHECK(client.wait(client.get("/x")).closed);
  world.advance(kIdleTimeout - 1s);
  CHECK_FALSE(client.goaway());
  world.advance(2s);
  CHECK(client.goaway());
  CHECK(client.goaway_code() == NGHTTP2_NO_ERROR);
  CHECK(client.ended());
  world.advance(kLinger + 1s);
  CHECK(server.connection_count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a client that waits is asked whether it is there") {
  H2Client client(world, kSocket);
  client.get("/hold");
  world.advance(kKeepAliveTime + 1s);
  CHECK(client.pings == 1);
  world.advance(10 * kKeepAliveTime);
  CHECK(client.pings > 9);
  CHECK(client.pings < 12);
  CHECK(echo.open == 1);
  client.set_paused(true);  // stopped in a debugger, for example
  world.advance(kKeepAliveTime + kKeepAliveTimeout + 1s);
  CHECK(server.connection_count() == 0);
  CHECK(echo.open == 0);
}

TEST_CASE_FIXTURE(Fixture, "a new connection takes the place of one without a request") {
  std::vector<std::unique_ptr<H2Client>> all;
  for (std::size_t i = 0; i < kConnectionsMax; ++i) {
    all.push_back(std::make_unique<H2Client>(world, kSocket));
    all.back()->get(i == 7 ? "/x" : "/hold");
  }
  world.advance(100ms);
  CHECK(server.connection_count() == kConnectionsMax);
  H2Client more(world, kSocket);
  CHECK(more.wait(more.get("/hold")).closed == false);
  CHECK(all[7]->ended());
  CHECK(server.connection_count() == kConnectionsMax);
  CHECK(server.counters().connections_evicted == 1);
  H2Client too_many(world, kSocket);
  too_many.get("/hold");
  world.advance(100ms);
  CHECK(too_many.ended());
  CHECK(server.counters().connections_refused == 1);
}

TEST_CASE_FIXTURE(Fixture, "a stop waits for the requests at hand, and not for long") {
  H2Client idle(world, kSocket), waiting(world, kSocket), gone(world, kSocket);
  CHECK(idle.wait(idle.get("/x")).closed);
  const int held = waiting.get("/hold");
  world.advance(10ms);
  Responder& responder = echo.requests.front()->responder;
  bool stopped = false;
  server.stop([&] { stopped = true; });
  CHECK_FALSE(stopped);
  world.advance(100ms);
  CHECK(idle.goaway());
  CHECK(idle.ended());
  CHECK(waiting.goaway());
  CHECK_FALSE(waiting.ended());
  CHECK_FALSE(stopped);

  SUBCASE("they are answered") {
    responder.respond(204, {});
    world.advance(100ms);
    CHECK(waiting.at(held).status == "204");
    CHECK(stopped);
  }
  SUBCASE("or dropped after kDrainTime") {
    world.advance(kDrainTime);
    CHECK(waiting.ended());
    CHECK(stopped);
    CHECK(echo.open == 0);
  }
  H2Client late(world, kSocket);
  late.get("/x");
  world.advance(100ms);
  CHECK(late.ended());
}

TEST_CASE_FIXTURE(Fixture, "receivers hear when what they sent is taken") {
  H2Client client(world, kSocket);
  const int id = client.get("/hold");
  world.advance(10ms);
  Responder& responder = echo.requests.front()->responder;
  responder.begin(200, {});
  world.advance(10ms);
  CHECK(client.at(id).status == "200");
  client.set_window_closed(true);
  responder.send(std::string(kStreamWindowBytes + 1, 'x'));
  world.advance(10ms);
  CHECK(responder.unsent_bytes() == 1);
  CHECK(echo.drained == 0);
  client.open_windows();
  world.advance(10ms);
  CHECK(echo.drained == 1);
  CHECK(client.at(id).body.size() == kStreamWindowBytes + 1);
}

TEST_CASE_FIXTURE(Fixture, "what a client sends at once is read over several turns") {
  H2Client client(world, kSocket);
  CHECK(client.wait(client.get("/first")).closed);
  for (int i = 0; i < 500; ++i)
    client.get("/hold");
  std::uint64_t seen = server.counters().requests, most = 0;
  CHECK(world.run_until(
      [&] {
        const std::uint64_t now = server.counters().requests;
        most = std::max(most, now - std::exchange(seen, now));
        return now == 501;
      },
      1s));
  CHECK(most > 0);
  CHECK(most < 200);
}
