// SPDX-License-Identifier: Apache-2.0
#include "base/http/clients.h"

#include <algorithm>
#include <functional>
#include <map>

#include <doctest/doctest.h>

#include "base/http/server.h"
#include "tests/base/http/client.h"

using namespace outrider;
using namespace outrider::http;
using namespace outrider::test;

namespace {

const std::string kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kStream = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";

std::string repeated(std::string_view text, std::size_t count) {
  std::string out;
  while (count-- > 0)
    out += text;
  return out;
}

struct Counting final : Handler {
  void on_request(const ServerRequest& request, Exchange exchange) override {
    if (work) work();
    ++seen[request.path];
    ++in_turn;
    if (request.path == "/wait") {
      if (exchange.wait([this] { ++gone; })) waiting.push_back(std::move(exchange));
    } else if (request.path != "/stream") {
      exchange.answer({200, std::string(answer_bytes, 'x'), "text/plain", {}});
    } else if (exchange.wait([this] { ++gone; })) {
      streams.push_back(exchange.begin_stream());
    }
  }

  std::function<void()> work;
  std::map<std::string, std::size_t> seen;
  std::vector<EventStream> streams;
  std::vector<Exchange> waiting;
  std::size_t in_turn = 0, answer_bytes = 10, gone = 0;
};

struct Fixture {
  sim::World world{7};
  Clients clients{world.env()};
  Counting handler;
  std::unique_ptr<Server> server;

  Fixture() {
    ServerOptions options;
    options.on = kSocket;
    options.clients = &clients;
    server = std::make_unique<Server>(world.env(), options, handler);
    REQUIRE(server->start().has_value());
  }
  ~Fixture() {
    handler.streams.clear();
    handler.waiting.clear();
    server.reset();
    world.settle();
  }
};

}  // namespace

TEST_CASE("what a client that hangs up has pipelined is not done") {
  Fixture f;
  Client client(f.world);
  client.send(repeated(kGet, 1'000));
  client.close();
  f.world.advance(10s);
  CHECK(f.handler.seen["/x"] <= 4 * kTurnRequestsMax);
  CHECK(f.server->connection_count() == 0);
}

TEST_CASE("a client that only ends its side gets all its answers") {
  Fixture f;
  Client client(f.world);
  client.send(repeated(kGet, 100));
  client.finish();
  f.world.advance(5s);
  CHECK(f.handler.seen["/x"] == 100);
  const std::string received = client.take();
  std::size_t answers = 0;
  for (std::size_t at = 0; (at = received.find("HTTP/1.1 200", at)) != std::string::npos; ++at)
    ++answers;
  CHECK(answers == 100);
  CHECK(client.ended());
}

TEST_CASE("nothing is begun for a client that does not read") {
  Fixture f;
  f.handler.answer_bytes = 100'000;
  Client client(f.world);
  client.set_paused(true);
  client.send(repeated(kGet, 200));
  f.world.advance(5s);
  CHECK(f.handler.seen["/x"] < 10);
  client.set_paused(false);
  f.world.advance(5s);
  CHECK(f.handler.seen["/x"] == 200);
}

TEST_CASE("answers that wait unread end at kUnreadBytesMax, and one more answer") {
  Fixture f;
  f.handler.answer_bytes = 4'000;
  Client client(f.world);
  client.set_paused(true);
  client.send(repeated(kGet, 200));
  f.world.advance(5s);
  const std::size_t kept = f.handler.seen["/x"] * f.handler.answer_bytes;
  CHECK(kept > kUnreadBytesMax);  // beside what the network holds
  CHECK(kept < sim::kStreamWindowBytes + kUnreadBytesMax + 2 * f.handler.answer_bytes);
}

TEST_CASE("what changes something goes before what only reads, which keeps a share") {
  Fixture f;
  f.handler.answer_bytes = kTurnBytesMax;  // one in a turn
  const std::string put = "PUT /put HTTP/1.1\r\nHost: a\r\n\r\n";
  std::vector<std::unique_ptr<Client>> many;
  for (int i = 0; i < 100; ++i)
    many.push_back(std::make_unique<Client>(f.world));
  Client writer(f.world);
  for (const auto& client : many)
    client->send(kGet);
  f.world.run_until([&] { return f.handler.seen["/x"] > 0; }, 1s);
  writer.send(put);
  f.world.run_until([&] { return f.handler.seen["/put"] > 0; }, 1s);
  CHECK(f.handler.seen["/x"] < 10);
  f.world.advance(5s);
  CHECK(f.handler.seen["/x"] == 100);

  // With short answers, a turn begins kTurnChangesMax changes and as many reads as then fit.
  f.handler.answer_bytes = 10;
  f.handler.seen.clear();
  for (std::size_t i = 0; i < many.size(); ++i)
    many[i]->send(repeated(i % 2 == 0 ? put : kGet, 20));
  f.world.run_until([&] { return f.handler.seen["/put"] >= 500; }, 5s);
  const std::size_t reads = f.handler.seen["/x"];
  CHECK(reads > 500 * (kTurnRequestsMax - kTurnChangesMax) / kTurnChangesMax / 2);
  CHECK(reads < 500);
  f.world.advance(5s);
  CHECK(f.handler.seen["/x"] == 1'000);
}

TEST_CASE("requests that do not arrive whole share the memory with unread answers") {
  Fixture f;
  const std::string head =
      "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kRequestBodyBytesMax) +
      "\r\n\r\n";
  const std::string most = head + std::string(kRequestBodyBytesMax - 1, 'x');
  std::vector<std::unique_ptr<Client>> many;
  std::size_t sent = 0;
  while (sent <= kQueuesBytesMax + 3 * most.size() && many.size() < kConnectionsMax - 1) {
    many.push_back(std::make_unique<Client>(f.world));
    many.back()->send(most);
    f.world.advance(2ms);
    sent += most.size();
    CHECK(f.clients.queued() <= kQueuesBytesMax);
  }
  CHECK(f.clients.queued() > kQueuesBytesMax / 2);
}

TEST_CASE("a turn of the loop begins few requests, and few long answers") {
  for (const std::size_t bytes : {std::size_t{10}, kTurnBytesMax / 2}) {
    CAPTURE(bytes);
    Fixture f;
    f.handler.answer_bytes = bytes;
    std::vector<std::unique_ptr<Client>> many;
    for (int i = 0; i < 50; ++i)
      many.push_back(std::make_unique<Client>(f.world));
    for (const auto& client : many)
      client->send(repeated(kGet, 20));
    std::size_t most = 0;
    f.world.run_until(
        [&] {  // before each turn
          most = std::max(most, std::exchange(f.handler.in_turn, 0));
          return false;
        },
        20s);
    CHECK(f.handler.seen["/x"] == 1'000);
    CHECK(most <= (bytes == 10 ? kTurnRequestsMax : 2));
  }
}

TEST_CASE("of requests that take long, few are begun in a turn") {
  Fixture f;
  f.handler.work = [&f] { f.world.host("here").step_wall(1ms); };
  std::vector<std::unique_ptr<Client>> many;
  for (int i = 0; i < 50; ++i)
    many.push_back(std::make_unique<Client>(f.world));
  for (const auto& client : many)
    client->send(repeated(kGet, 2));
  f.world.run_until([&] { return f.handler.in_turn > 0; }, 1s);  // as they arrive
  f.handler.in_turn = 0;
  std::size_t most = 0;
  f.world.run_until(
      [&] {
        most = std::max(most, std::exchange(f.handler.in_turn, 0));
        return false;
      },
      5s);
  CHECK(f.handler.seen["/x"] == 100);
  CHECK(most == 1);
}

TEST_CASE("a client with one request does not wait for one with hundreds") {
  Fixture f;
  Client greedy(f.world);
  greedy.send(repeated(kGet, 1'000));
  Client modest(f.world);
  modest.send("GET /modest HTTP/1.1\r\nHost: a\r\n\r\n");
  f.world.run_until([&] { return f.handler.seen["/modest"] == 1; }, 5s);
  CHECK(f.handler.seen["/modest"] == 1);
  CHECK(f.handler.seen["/x"] < 200);
}

TEST_CASE("readers that lag are dropped before the queues of all together grow too long") {
  Fixture f;
  Client reads(f.world);
  reads.ask(kStream);
  std::vector<std::unique_ptr<Client>> lagging;
  for (int i = 0; i < 100; ++i) {
    lagging.push_back(std::make_unique<Client>(f.world));
    lagging.back()->ask(kStream);
    lagging.back()->set_paused(true);
  }
  REQUIRE(f.handler.streams.size() == 101);
  const std::string event = "data: " + std::string(20'000, 'x') + "\n\n";
  for (int i = 0; i < 45; ++i) {  // less than what one stream may have by itself
    for (EventStream& stream : f.handler.streams)
      stream.send(event);
    CHECK(f.clients.queued() <= kQueuesBytesMax);
    f.world.advance(10ms);
    reads.take();
  }
  CHECK(f.clients.evicted() > 30);
  CHECK(f.server->counters().clients_lagged == f.clients.evicted());
  CHECK(f.handler.streams[0].send("data: last\n\n"));
  f.world.advance(10ms);
  CHECK(reads.take() == "data: last\n\n");
  std::size_t alive = 0;
  for (const EventStream& stream : f.handler.streams)
    alive += stream.alive() ? 1 : 0;
  CHECK(alive == 101 - f.clients.evicted());
  CHECK(f.handler.gone == f.clients.evicted());
}

TEST_CASE("who waits for a client hears that it was dropped for what it sent ahead") {
  Fixture f;
  const std::string ahead = repeated(kGet, kPipelinedBytesMax / kGet.size());
  std::vector<std::unique_ptr<Client>> many;
  for (std::size_t i = 0; i < kQueuesBytesMax / kPipelinedBytesMax + 100; ++i) {
    many.push_back(std::make_unique<Client>(f.world));
    many.back()->send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + ahead);
    f.world.advance(10ms);
  }
  f.world.advance(1s);
  CHECK(f.clients.evicted() > 0);
  CHECK(f.handler.gone == f.clients.evicted());
  const auto alive = std::ranges::count_if(f.handler.waiting, &Exchange::alive);
  CHECK(static_cast<std::size_t>(alive) == many.size() - f.clients.evicted());
}

TEST_CASE("one answer may be longer than what all may have together") {
  Fixture f;
  f.handler.answer_bytes = kQueuesBytesMax + 1'000'000;
  Client client(f.world);
  client.send(kGet);
  f.world.advance(20s);
  CHECK(body_of(client.take()).size() == f.handler.answer_bytes);
  CHECK(f.clients.evicted() == 0);
  CHECK(f.clients.queued() == 0);
}

TEST_CASE("quiet after a storm is reported once, and not without a storm") {
  Fixture f;
  int calm = 0;
  f.clients.on_calm([&] { ++calm; });
  Client(f.world).ask(kGet);
  f.world.advance(1min);
  CHECK(calm == 0);
  Client client(f.world);
  f.handler.answer_bytes = 1U << 20;
  for (int i = 0; i < 20; ++i)
    client.ask(kGet);
  CHECK(calm == 0);
  f.world.advance(5s);
  CHECK(calm == 1);
  f.world.advance(1min);
  CHECK(calm == 1);
}

TEST_CASE("a storm is kStormBytes of work, and ends when all was quiet for a while") {
  Fixture f;
  int calm = 0;
  f.clients.on_calm([&] { ++calm; });
  f.clients.charge(kStormBytes - 1);
  f.world.advance(1min);
  CHECK(calm == 0);
  f.clients.charge(1);
  f.world.advance(kCalmTime - 1ms);
  CHECK(calm == 0);
  f.clients.charge(kCalmBytes + 1);  // not quiet
  f.world.advance(kCalmTime);
  CHECK(calm == 0);
  f.world.advance(kCalmTime);
  CHECK(calm == 1);
}

// --- a port that the whole LAN reaches ---------------------------------------------------------

namespace {

struct PublicFixture {
  sim::World world{7};
  sim::Link& lan = world.link("lan");
  sim::Host& box = world.host("box");
  sim::Host& rude = world.host("rude");
  sim::Host& polite = world.host("polite");
  Counting handler;
  std::unique_ptr<Server> server;

  PublicFixture() {
    box.attach("eth0", lan, {"10.0.0.1/24", "2001:db8::1/64"});
    rude.attach("eth0", lan, {"10.0.0.66/24", "2001:db8:0:1::66/64"});
    polite.attach("eth0", lan, {"10.0.0.2/24", "2001:db8:0:2::2/64"});
    ServerOptions options;
    options.on = Endpoint{IpAddress::any(IpAddress::Family::v4), 5371};
    options.guard.public_reading = true;
    server = std::make_unique<Server>(box.env(), options, handler);
    REQUIRE(server->start().has_value());
  }
  ~PublicFixture() {
    server.reset();
    world.settle();
  }
  std::unique_ptr<Client> connect(sim::Host& from) {
    return std::make_unique<Client>(world, from.env(), *Endpoint::parse("10.0.0.1:5371"));
  }
};

}  // namespace

TEST_CASE("a host on the LAN that keeps many connections open does not take the port from others") {
  PublicFixture f;
  std::vector<std::unique_ptr<Client>> many(140);
  for (int round = 0; round < 20; ++round) {
    for (auto& one : many) {  // it comes back whenever it is dropped
      if (one != nullptr && !one->ended()) continue;
      one = f.connect(f.rude);
      one->send("G");
    }
    const auto reader = f.connect(f.polite);
    CHECK(status_of(reader->ask(kGet)) == "200");
    f.world.advance(100ms);
    CHECK(f.server->connection_count() <= kPublicConnectionsPerSource + 1);
  }
  CHECK(f.server->counters().connections_refused > 100);
}

TEST_CASE(
    "on a port of the LAN a request has to arrive within three seconds, byte by byte or not") {
  PublicFixture f;
  const auto slow = f.connect(f.rude);
  for (std::size_t i = 0; i < 10 && !slow->ended(); ++i) {
    slow->send(kGet.substr(i, 1));
    f.world.advance(500ms);
  }
  CHECK(status_of(slow->take()) == "408");
  CHECK(slow->ended());
  const auto silent = f.connect(f.rude);
  f.world.advance(kPublicRequestTimeout + 1s);
  CHECK(silent->ended());
}
