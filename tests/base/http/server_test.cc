// SPDX-License-Identifier: Apache-2.0
#include "base/http/server.h"

#include <map>

#include <doctest/doctest.h>

#include "base/base64.h"
#include "base/http/refusal.h"
#include "tests/base/http/client.h"

using namespace outrider;
using namespace outrider::http;
using namespace outrider::test;

namespace {

/// Answers "METHOD path body"; holds /hold, parks /park, streams /stream, forgets /forget.
struct Echo final : Handler {
  std::vector<Exchange> held, parked;
  std::vector<EventStream> streams;
  std::vector<std::string> seen;
  StreamForm form;
  int gone = 0;
  int read = 0;  // everything that a stream had
  std::size_t answer_bytes = 0;

  void on_request(const ServerRequest& request, Exchange exchange) override {
    seen.push_back(request.method + " " + request.path);
    if (request.path == "/forget") return;
    if (request.path == "/hold") return held.push_back(std::move(exchange));
    if (request.path == "/park" || request.path == "/stream") {
      if (!exchange.wait([this] { ++gone; })) return;
      if (request.path == "/park") return parked.push_back(std::move(exchange));
      streams.push_back(exchange.begin_stream(form));
      streams.back().on_read([this] { ++read; });
      streams.back().send("event: snapshot\ndata: {}\n\n");
      return;
    }
    Answer answer;
    answer.body = request.method + " " + request.path + " " + request.body;
    answer.body.resize(std::max(answer.body.size(), answer_bytes), '.');
    exchange.answer(std::move(answer));
  }
};

struct Fixture {
  sim::World world{7};
  Echo echo;
  std::unique_ptr<Server> server;

  explicit Fixture(StreamAddress on = kSocket, GuardOptions guard = {}) {
    ServerOptions options;
    options.on = std::move(on);
    options.guard = std::move(guard);
    start(std::move(options));
  }
  /// With room for fewer clients.
  Fixture(std::size_t connections_max, std::size_t waiters_max) {
    ServerOptions options;
    options.on = kSocket;
    options.connections_max = connections_max;
    options.waiters_max = waiters_max;
    start(std::move(options));
  }
  void start(ServerOptions options) {
    server = std::make_unique<Server>(world.env(), options, echo);
    REQUIRE(server->start().has_value());
  }
  ~Fixture() {
    server.reset();
    world.settle();
  }
  std::string ask(std::string_view bytes) { return Client(world).ask(bytes); }
  std::vector<std::unique_ptr<Client>> connect(std::size_t count) {
    std::vector<std::unique_ptr<Client>> clients;
    while (clients.size() < count)
      clients.push_back(std::make_unique<Client>(world));
    return clients;
  }
};

const std::string kGet = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
/// Of a server with room for fewer clients.
constexpr std::size_t kPlaces = 100;
const std::string kHold = "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kPark = "GET /park HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kStream = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kPut = "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";

std::size_t occurrences(std::string_view text, std::string_view of) {
  std::size_t count = 0;
  for (std::size_t at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("one request, one answer, with the headers that keep it private") {
  Fixture f;
  const std::string answer = f.ask(kGet);
  CHECK(status_of(answer) == "200");
  CHECK(body_of(answer) == "GET /x ");
  CHECK(answer.find("Cache-Control: no-store\r\n") != std::string::npos);
  CHECK(answer.find("X-Content-Type-Options: nosniff\r\n") != std::string::npos);
  CHECK(answer.find("Content-Length: 7\r\n") != std::string::npos);
}

TEST_CASE("keep-alive: several requests on one connection, and none after close") {
  Fixture f;
  Client client(f.world);
  for (int i = 0; i < 5; ++i)
    CHECK(status_of(client.ask(kGet)) == "200");
  CHECK_FALSE(client.ended());
  CHECK(status_of(client.ask("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) == "200");
  CHECK(client.ended());
  CHECK(f.server->counters().connections == 1);
  CHECK(f.server->counters().requests == 6);
}

TEST_CASE("pipelined requests are answered in order, whole or cut anywhere") {
  Fixture f;
  const std::string three =
      "PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
      "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
      "DELETE /3 HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string whole = f.ask(three);
  CHECK(occurrences(whole, "HTTP/1.1 200") == 3);
  CHECK(whole.find("PUT /1 ab") < whole.find("GET /2 "));
  CHECK(whole.find("GET /2 ") < whole.find("DELETE /3 "));
  for (std::size_t cut = 1; cut < three.size(); cut += 7) {
    Client client(f.world);
    const std::string first = client.ask(three.substr(0, cut));
    CHECK(first + client.ask(three.substr(cut)) == whole);
  }
}

TEST_CASE("a stream in chunks has one for each text, and an end") {
  Fixture f;
  f.echo.form = {.content_type = "application/json", .lagged = "{}\n", .chunked = true};
  Client client(f.world);
  const std::string head = client.ask(kStream);
  CHECK(head.find("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") != head.npos);
  CHECK(body_of(head) == "1a\r\nevent: snapshot\ndata: {}\n\n\r\n");
  f.echo.streams[0].send("{\"a\":1}\n");
  f.echo.streams[0].send("");
  f.world.advance(10ms);
  CHECK(client.take() == "8\r\n{\"a\":1}\n\r\n");
  CHECK(f.echo.streams[0].unread_bytes() == 0);
  client.set_paused(true);
  for (int i = 0; i < 5; ++i) {
    f.echo.streams[0].send(std::string(100U << 10, 'x'));
    f.world.advance(10ms);
  }
  CHECK(f.echo.streams[0].unread_bytes() > 0);
  const int before = f.echo.read;
  client.set_paused(false);
  f.world.advance(1s);
  CHECK(f.echo.read > before);
  CHECK(f.echo.streams[0].unread_bytes() == 0);
  client.take();
  f.echo.streams.clear();
  f.world.advance(10ms);
  CHECK(client.take() == "0\r\n\r\n");
  CHECK(client.ended());
}

TEST_CASE("a reader of chunks that falls too far behind gets a last chunk that says so") {
  Fixture f;
  f.echo.form = {.content_type = "application/json", .lagged = "{}\n", .chunked = true};
  Client client(f.world);
  client.ask(kStream);
  client.set_paused(true);
  const std::string text(64U << 10, 'x');
  while (f.echo.streams[0].send(text))
    f.world.advance(1ms);
  client.set_paused(false);
  std::string all;
  for (int i = 0; i < 100; ++i) {
    f.world.advance(10ms);
    all += client.take();
  }
  CHECK(all.ends_with("3\r\n{}\n\r\n0\r\n\r\n"));
}

TEST_CASE("a request behind a parked one waits for it") {
  Fixture f;
  Client client(f.world);
  CHECK(client.ask("GET /park HTTP/1.1\r\nHost: a\r\n\r\n" + kGet).empty());
  REQUIRE(f.echo.parked.size() == 1);
  f.echo.parked[0].answer({200, "woken", "text/plain", {}});
  CHECK(client.take().empty());  // not within the call
  f.world.advance(50ms);
  const std::string both = client.take();
  CHECK(both.find("woken") < both.find("GET /x "));
  CHECK(f.server->waiter_count() == 0);
}

TEST_CASE("a parked request is reported when its client goes, once") {
  Fixture f;
  for (const bool orderly : {true, false}) {
    f.echo.gone = 0;
    f.echo.parked.clear();
    Client client(f.world);
    client.ask("GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
    REQUIRE(f.echo.parked.size() == 1);
    if (orderly)
      client.finish();
    else
      client.close();
    f.world.advance(50ms);
    CHECK(f.echo.gone == 1);
    CHECK_FALSE(f.echo.parked[0].alive());
    f.echo.parked[0].answer({200, "too late", "text/plain", {}});
    f.world.advance(50ms);
    CHECK(f.echo.gone == 1);
    CHECK(f.server->connection_count() == 0);
  }
}

TEST_CASE("a client that asks before it sends the body gets 100 Continue, once") {
  Fixture f;
  Client client(f.world);
  const std::string head =
      "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n";
  for (int i = 0; i < 2; ++i) {
    CHECK(client.ask(head).empty());
    CHECK(client.ask("\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(client.ask("ab").empty());
    CHECK(body_of(client.ask("cd")) == "PUT /x abcd");
  }
  // Who does not wait, has no body, sends too much or speaks HTTP/1.0 gets the answer alone.
  CHECK(status_of(client.ask(head + "\r\nabcd")) == "200");
  CHECK(status_of(client.ask("GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")) ==
        "200");
  CHECK(status_of(f.ask("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n"
                        "Expect: 100-continue\r\n\r\n")) == "413");
  Client old(f.world);
  CHECK(old.ask("PUT /x HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n").empty());
  CHECK(status_of(old.ask("ab")) == "200");
}

TEST_CASE("an exchange that no handler answers is a 500") {
  Fixture f;
  CHECK(status_of(f.ask("GET /forget HTTP/1.1\r\nHost: a\r\n\r\n")) == "500");
}

TEST_CASE("a client that ends right after its request gets its answer") {
  Fixture f;
  Client client(f.world);
  client.send(kGet);
  client.finish();
  f.world.advance(50ms);
  CHECK(body_of(client.take()) == "GET /x ");
  f.world.advance(3s);
  CHECK(f.server->connection_count() == 0);
}

TEST_CASE("HEAD tells the length and sends no body") {
  Fixture f;
  const std::string answer = f.ask("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(status_of(answer) == "200");
  CHECK(answer.find("Content-Length: 8\r\n") != std::string::npos);
  CHECK(body_of(answer).empty());
}

// What strict servers refuse and others take: facts of the field, one row each.
TEST_CASE("malformed requests are refused and the connection ends") {
  struct Row {
    const char* what;
    std::string bytes;
    std::string status;
  };
  const std::string host = "Host: a\r\n";
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 80; ++i)
    many += "h" + std::to_string(i) + ": 1\r\n";
  const std::vector<Row> rows = {
      {"LF-only line ends", "GET / HTTP/1.1\nHost: a\n\n", "400"},
      {"bare CR in a header", "GET / HTTP/1.1\r\n" + host + "A: b\rX: y\r\n\r\n", "400"},
      {"Transfer-Encoding and Content-Length",
       "PUT / HTTP/1.1\r\n" + host +
           "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
       "400"},
      {"an unknown Transfer-Encoding",
       "PUT / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", "501"},
      {"octets behind the data of a chunk",
       "PUT / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\naXY0\r\n\r\n", "400"},
      {"two Content-Lengths",
       "PUT / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
      {"Content-Length +5", "PUT / HTTP/1.1\r\n" + host + "Content-Length: +5\r\n\r\nabcde", "400"},
      {"Content-Length -5", "PUT / HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\nabcde", "400"},
      {"Content-Length 10^22",
       "PUT / HTTP/1.1\r\n" + host + "Content-Length: 10000000000000000000000\r\n\r\n", "400"},
      {"space before the colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", "400"},
      {"NUL in a value", "GET / HTTP/1.1\r\n" + host + std::string("A: b\0c", 6) + "\r\n\r\n",
       "400"},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", "400"},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
      {"absolute form", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
      {"too many headers", many + "\r\n", "431"},
      {"a head that is too long",
       "GET / HTTP/1.1\r\n" + host + "A: " + std::string(20'000, 'x') + "\r\n\r\n", "431"},
      {"a body that is too long", "PUT / HTTP/1.1\r\n" + host + "Content-Length: 70000\r\n\r\n",
       "413"},
      {"a TLS ClientHello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), "400"},
      {"a bad escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", "400"},
      {"an escaped NUL", "GET /%00 HTTP/1.1\r\n" + host + "\r\n", "400"},
  };
  Fixture f;
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Client client(f.world);
    const std::string answer = client.ask(row.bytes + kGet);
    CHECK(status_of(answer) == row.status);
    CHECK(occurrences(answer, "Cache-Control: ") == 1);  // nothing is smuggled in behind it
    CHECK(client.ended());
  }
  CHECK(f.echo.seen.empty());
  CHECK(f.server->counters().requests_malformed == rows.size());
}

TEST_CASE("an unfinished request has ten seconds, however slowly it trickles") {
  Fixture f;
  Client slow(f.world);
  slow.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 9; ++i) {
    f.world.advance(1s);
    slow.send("A: b\r\n");
  }
  CHECK(slow.take().empty());
  f.world.advance(1500ms);
  CHECK(status_of(slow.take()) == "408");
  f.world.advance(3s);
  CHECK(f.server->connection_count() == 0);
}

TEST_CASE("idle connections are closed: unused ones after 10 s, used ones after 60 s") {
  Fixture f;
  Client unused(f.world);
  Client used(f.world);
  CHECK(status_of(used.ask(kGet)) == "200");
  f.world.advance(11s);
  CHECK(f.server->connection_count() == 1);
  f.world.advance(40s);
  CHECK(status_of(used.ask(kGet)) == "200");
  f.world.advance(59s);
  CHECK(f.server->connection_count() == 1);
  f.world.advance(2s);
  CHECK(f.server->connection_count() == 0);
}

TEST_CASE("a connection is refused only if all others are being answered; room comes back") {
  Fixture f(kPlaces, kPlaces);
  auto clients = f.connect(kPlaces);
  for (const auto& client : clients)
    client->send(kHold);
  f.world.advance(1s);
  REQUIRE(f.echo.held.size() == kPlaces);
  Client refused(f.world);
  f.world.advance(50ms);
  const std::string answer = refused.take();
  CHECK(status_of(answer) == "503");
  CHECK(body_of(answer) ==
        "{\"error\":\"too many requests are being answered; try again in a "
        "second\"}\n");
  CHECK(refused.ended());
  CHECK(f.server->counters().connections_refused == 1);
  // The others are not disturbed.
  f.echo.held[0].answer({200, "done", "text/plain", {}});
  f.world.advance(50ms);
  CHECK(body_of(clients[0]->take()) == "done");
  CHECK(status_of(f.ask(kGet)) == "200");
  CHECK(clients[0]->ended());  // idle by now
  CHECK(f.server->counters().connections_evicted == 1);
}

TEST_CASE("refused clients that do not leave are dropped") {
  Fixture f(kPlaces, kPlaces);
  auto clients = f.connect(kPlaces);
  for (const auto& client : clients)
    client->send(kHold);
  f.world.advance(1s);
  const auto refused = f.connect(3 * kClosingMax);
  CHECK(f.server->connection_count() <= kPlaces + kClosingMax);
  CHECK(f.server->counters().connections_refused == 3 * kClosingMax);
}

TEST_CASE("the connection that has been idle longest makes room for a new one") {
  Fixture f(kPlaces, kPlaces);
  auto clients = f.connect(kPlaces);
  for (const auto& client : clients) {
    client->send(kGet);
    f.world.advance(2ms);
    CHECK(status_of(client->take()) == "200");
  }
  CHECK(status_of(clients[0]->ask(kGet)) == "200");
  CHECK(status_of(f.ask(kGet)) == "200");
  CHECK(clients[1]->ended());
  CHECK(status_of(clients[0]->ask(kGet)) == "200");
  CHECK(f.server->counters().connections_evicted == 1);
  CHECK(f.server->counters().connections_refused == 0);
}

TEST_CASE("connections that ask nothing, or not to the end, keep nobody out") {
  const std::string begun = kGet.substr(0, 10);
  for (const std::string& sent : {std::string(), begun, kPut.substr(0, kPut.size() - 1)}) {
    CAPTURE(sent);
    Fixture f(kPlaces, kPlaces);
    Client used(f.world);
    used.ask(kGet);
    auto clients = f.connect(kPlaces - 1);
    for (const auto& client : clients)
      client->send(sent);
    f.world.advance(50ms);
    // An idle one goes first, then those that came first.
    for (int i = 0; i < 3; ++i)
      CHECK(status_of(f.ask(kGet)) == "200");
    CHECK(used.ended());
    CHECK(f.server->counters().connections_evicted == 1);
    const auto more = f.connect(2);
    f.world.advance(50ms);
    CHECK(clients[0]->ended());
    CHECK(status_of(f.ask(kPut)) == "200");
    CHECK(f.server->counters().connections_refused == 0);
  }
}

TEST_CASE("clients that do not read their answers keep nobody out") {
  Fixture f(kPlaces, kPlaces);
  f.echo.answer_bytes = 60'000;
  auto clients = f.connect(kPlaces);
  for (const auto& client : clients) {
    client->set_paused(true);
    for (int i = 0; i < 10; ++i)
      client->send(kGet);
  }
  f.world.advance(5s);
  f.echo.answer_bytes = 0;
  CHECK(status_of(f.ask(kPut)) == "200");
  CHECK(f.server->counters().connections_refused == 0);
}

TEST_CASE("those who wait have a limit of their own, and the one beyond it loses its place") {
  Fixture f;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kWaitersMax; ++i) {
    clients.push_back(std::make_unique<Client>(f.world));
    clients.back()->send(i % 2 == 0 ? kPark : kStream);
    f.world.advance(1ms);
  }
  f.world.advance(50ms);
  CHECK(f.server->waiter_count() == kWaitersMax);
  CHECK(status_of(f.ask(kGet)) == "200");
  for (const std::string& request : {kPark, kStream}) {
    Client refused(f.world);
    const std::string answer = refused.ask(request);
    CHECK(status_of(answer) == "503");
    CHECK(answer.find("Retry-After: 1\r\n") != std::string::npos);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    CHECK(refused.ended());
  }
  // What would wake them gets in, however many are refused meanwhile.
  const auto refused = f.connect(kConnectionsMax - kWaitersMax);
  for (const auto& client : refused)
    client->send(kPark);
  CHECK(status_of(f.ask(kPut)) == "200");
  // All of them are answered, and ask again: none has lost its place.
  for (auto& exchange : std::exchange(f.echo.parked, {}))
    exchange.answer({200, "woken", "text/plain", {}});
  f.world.advance(50ms);
  const auto others = f.connect(kConnectionsMax - kWaitersMax);
  CHECK(f.server->connection_count() >= kConnectionsMax);
  CHECK(f.server->counters().connections_evicted == 0);
  const Client one_more(f.world);
  CHECK(f.server->counters().connections_evicted == 1);
  CHECK(f.server->counters().connections_refused == 0);
  clients.clear();
  f.world.advance(1s);
  CHECK(f.server->waiter_count() == 0);
  CHECK(f.echo.gone == static_cast<int>(kWaitersMax / 2));  // the streams
}

TEST_CASE("a stream: events as they come, told when the client goes, ended by its owner") {
  Fixture f;
  auto client = std::make_unique<Client>(f.world);
  const std::string head = client->ask("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(head.find("Content-Type: text/event-stream\r\n") != std::string::npos);
  CHECK(body_of(head) == "event: snapshot\ndata: {}\n\n");
  CHECK(f.echo.streams[0].send("data: 1\n\n"));
  f.world.advance(50ms);
  CHECK(client->take() == "data: 1\n\n");
  f.world.advance(300s);  // no idle timeout
  CHECK(f.echo.streams[0].send("data: 2\n\n"));
  f.world.advance(50ms);
  CHECK(client->take() == "data: 2\n\n");
  client.reset();
  f.world.advance(50ms);
  CHECK(f.echo.gone == 1);
  CHECK_FALSE(f.echo.streams[0].send("data: 3\n\n"));

  Client other(f.world);
  other.ask("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  f.echo.streams.clear();
  f.world.advance(50ms);
  CHECK(other.ended());
  CHECK(f.echo.gone == 1);  // who ends it is not told
}

TEST_CASE("a stream whose client does not read is dropped at 1 MiB with a last word") {
  Fixture f;
  Client slow(f.world);
  slow.ask("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  slow.set_paused(true);
  f.world.advance(50ms);
  const std::string event = "data: " + std::string(10'000, 'x') + "\n\n";
  std::size_t sent = 0;
  while (f.echo.streams[0].send(event)) {
    sent += event.size();
    f.world.advance(1ms);
    REQUIRE(sent < 4 * kStreamQueueBytesMax);
  }
  CHECK(sent > kStreamQueueBytesMax);
  CHECK(f.server->counters().streams_lagged == 1);
  CHECK_FALSE(f.echo.streams[0].alive());
  slow.set_paused(false);
  f.world.advance(1s);
  const std::string received = slow.take();
  CHECK(received.ends_with("event: lagged\ndata: {}\n\n"));
  CHECK(slow.ended());
}

TEST_CASE("an answer larger than any queue arrives whole; one that no reader empties is given up") {
  Fixture f;
  f.echo.answer_bytes = 20U << 20;
  Client client(f.world);
  client.send(kGet);
  f.world.advance(5s);
  CHECK(body_of(client.take()).size() == f.echo.answer_bytes);
  client.set_paused(true);
  client.send(kGet);
  f.world.advance(29s);
  CHECK(f.server->connection_count() == 1);
  f.world.advance(5s);
  CHECK(f.server->connection_count() == 0);
}

TEST_CASE("a client far ahead of its answers is not read from, and loses nothing") {
  Fixture f;
  Client client(f.world);
  client.ask("GET /park HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string many;
  while (many.size() < 3 * kPipelinedBytesMax)
    many += kGet;
  const std::size_t count = many.size() / kGet.size();
  client.send(many);
  f.world.advance(1s);
  CHECK(f.echo.seen.size() == 1);
  f.echo.parked[0].answer({200, "woken", "text/plain", {}});
  f.world.advance(2s);
  CHECK(f.echo.seen.size() == 1 + count);
  CHECK(occurrences(client.take(), "HTTP/1.1 200") == 1 + count);
}

TEST_CASE("a refusal names the limits as they are") {
  CHECK(explain_refusal(Error::parameters) == "a query may have 512 parameters");
  CHECK(explain_refusal(Error::head_too_long) ==
        "the head of a request, or what frames its body, may have 16 KiB and 64 fields");
  CHECK(explain_refusal(Error::body_too_long) == "the body of a request may have 64 KiB");
  static_assert(kParametersMax == 512 && kHeadBytesMax == 16U << 10 && kHeadersMax == 64 &&
                kRequestBodyBytesMax == 64U << 10);
}

TEST_CASE("Unix socket: a browser at a forwarded port is held to Host and Origin") {
  Fixture f;
  const auto ask = [&](const std::string& head) {
    return status_of(
        Client(f.world).ask("PUT /x HTTP/1.1\r\n" + head + "Content-Length: 0\r\n\r\n"));
  };
  const std::string browser = "User-Agent: Mozilla/5.0\r\n";
  CHECK(ask("Host: agent\r\n") == "200");
  CHECK(ask("Host: localhost:8500\r\n" + browser) == "200");
  CHECK(ask("Host: localhost:8500\r\nOrigin: http://localhost:8500\r\n" + browser) == "200");
  CHECK(ask("Host: localhost:8500\r\nOrigin: http://evil.test\r\n" + browser) == "403");
  CHECK(ask("Host: evil.test\r\nOrigin: http://evil.test\r\n" + browser) == "403");
  CHECK(ask("Host: evil.test\r\nSec-Fetch-Site: same-origin\r\n") == "403");
}

TEST_CASE("TCP: loopback only, and the guard stands at the door") {
  sim::World world;
  Echo echo;
  ServerOptions options;
  options.on = *Endpoint::parse("0.0.0.0:8500");
  CHECK(Server(world.env(), options, echo).start().error() == NetError::not_available);

  Fixture f(*Endpoint::parse("127.0.0.1:8500"),
            {"secret", {"http://ui.test"}, {"/open/"}, {"/change/", "/open/change/"}});
  const auto ask = [&](const std::string& bytes) {
    return status_of(Client(f.world, *Endpoint::parse("127.0.0.1:8500")).ask(bytes));
  };
  const std::string body = "Content-Length: 2\r\n\r\n{}";
  const std::string local = "Host: 127.0.0.1:8500\r\n";
  const std::string bearer = "Authorization: Bearer secret\r\n";
  const std::string json = "Content-Type: application/json; charset=utf-8\r\n";
  CHECK(ask("GET /x HTTP/1.1\r\n" + local + "\r\n") == "200");
  CHECK(ask("GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n") == "403");
  CHECK(ask("GET /x HTTP/1.1\r\nHost: 127.0.0.1.evil.test\r\n\r\n") == "403");
  CHECK(ask("GET /x HTTP/1.1\r\n" + local + "Origin: http://evil.test\r\n\r\n") == "403");
  CHECK(ask("GET /x HTTP/1.1\r\n" + local + "Origin: null\r\n\r\n") == "403");
  CHECK(ask("GET /x HTTP/1.1\r\n" + local + "Origin: http://ui.test\r\n\r\n") == "200");
  CHECK(ask("GET /stream HTTP/1.1\r\n" + local + "Origin: http://evil.test\r\n\r\n") == "403");
  // A page that came from here: the same scheme, host and port, as the browser states them.
  CHECK(ask("GET /x HTTP/1.1\r\n" + local + "Origin: http://127.0.0.1:8500\r\n\r\n") == "200");
  for (const std::string other : {"http://127.0.0.1:8501", "https://127.0.0.1:8500",
                                  "http://localhost:8500", "http://127.0.0.1:8500/", "http://"})
    CHECK(ask("GET /x HTTP/1.1\r\n" + local + "Origin: " + other + "\r\n\r\n") == "403");
  CHECK(ask("GET /x HTTP/1.1\r\nHost: evil.test\r\nOrigin: http://evil.test\r\n\r\n") == "403");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + body) == "401");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + "Authorization: Bearer secrets\r\n" + body) ==
        "401");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + bearer + body) == "200");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + "X-Consul-Token: secret\r\n" + body) == "200");
  CHECK(ask("PUT /x?token=secret HTTP/1.1\r\n" + local + json + body) == "200");
  CHECK(ask("PUT /x?token=other HTTP/1.1\r\n" + local + json + body) == "401");
  CHECK(ask("PUT /open/x HTTP/1.1\r\n" + local + body) == "200");
  // What changes something by GET is guarded as a PUT is, and closed to browsers.
  CHECK(ask("GET /change/x HTTP/1.1\r\n" + local + "\r\n") == "401");
  CHECK(ask("GET /%63hange/x HTTP/1.1\r\n" + local + "\r\n") == "401");
  CHECK(ask("GET /change/x HTTP/1.1\r\n" + local + bearer + "\r\n") == "200");
  CHECK(ask("GET /open/change/x HTTP/1.1\r\n" + local + "\r\n") == "200");
  for (const char* sign : {"User-Agent: Mozilla/5.0 (X11)", "Referer: http://evil.test/",
                           "Sec-Fetch-Site: cross-site", "Origin: http://evil.test"})
    CHECK(ask("GET /open/change/x HTTP/1.1\r\n" + local + sign + "\r\n\r\n") == "403");
  CHECK(ask("PUT /open/x HTTP/1.1\r\nHost: evil.test\r\n" + body) == "403");
  // A page can neither set these headers without asking first, nor know the token.
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain", "", "nonsense"}) {
    const std::string typed = std::string("Content-Type: ") + type + "\r\n";
    CHECK(ask("PUT /x HTTP/1.1\r\n" + local + bearer + typed + body) == "200");
    CHECK(ask("PUT /x HTTP/1.1\r\n" + local + typed + "X-Consul-Token: secret\r\n" + body) ==
          "200");
    CHECK(ask("PUT /x?token=secret HTTP/1.1\r\n" + local + typed + body) == "415");
    CHECK(ask("PUT /x?token=secret HTTP/1.1\r\n" + local + typed + "Authorization: Basic eDp5\r\n" +
              body) == "415");
  }
  for (const char* shown :
       {"bearer  secret", "BEARER\tsecret", "Bearer   secret  ", "bEaReR \t secret"})
    CHECK(ask("PUT /x HTTP/1.1\r\n" + local + "Authorization: " + shown + "\r\n" + body) == "200");
  for (const char* shown : {"Bearersecret", "Bearer", "Bearer ", "Basic secret", "secret",
                            "Bearer sec ret", "Bearer secret, Bearer secret"})
    CHECK(ask("PUT /x HTTP/1.1\r\n" + local + "Authorization: " + shown + "\r\n" + body) == "401");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + bearer + body) == "200");
  CHECK(ask("DELETE /x HTTP/1.1\r\n" + local + bearer + "\r\n") == "200");
  // Of http://user:TOKEN@host. A browser may send it for any page, as it does a query.
  const auto basic = [](std::string_view pair) {
    return "Authorization: Basic " + base64_encode(pair) + "\r\n";
  };
  CHECK(ask("DELETE /x HTTP/1.1\r\n" + local + basic("user:secret") + "\r\n") == "200");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + basic(":secret") + body) == "200");
  CHECK(ask("PUT /x HTTP/1.1\r\n" + local + "Content-Type: text/plain\r\n" + basic("a:secret") +
            body) == "415");
  for (const char* pair : {"secret", "secret:", "secret:x", "a:b:secret", "a:secret ", ""})
    CHECK(ask("PUT /x HTTP/1.1\r\n" + local + json + basic(pair) + body) == "401");
  CHECK(f.server->counters().requests_refused == 15 + 6 + 8 + 7 + 7);
}

TEST_CASE("TCP: the names of the listener are accepted as Host, with and without a port") {
  GuardOptions guard;
  guard.host_names = {"consul", "agent.corp.example"};
  Fixture f(*Endpoint::parse("127.0.0.1:8500"), guard);
  const auto ask = [&](const std::string& host) {
    return Client(f.world, *Endpoint::parse("127.0.0.1:8500"))
        .ask("GET /x HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  for (const char* host : {"consul", "Consul:8500", "CONSUL", "agent.corp.example:80", "localhost"})
    CHECK(status_of(ask(host)) == "200");
  for (const char* host :
       {"consul.evil.example", "consul:", "consul:x", "consul:123456", "evil.consul", "consu"})
    CHECK(status_of(ask(host)) == "403");
  CHECK(
      body_of(ask("box")) ==
      "{\"error\":\"the Host header names \\\"box\\\"; expected a loopback address, localhost, or "
      "a name that the option api.host_names lists\"}\n");
  for (const char* name : {"consul", "a.b-c_d.9"})
    CHECK(is_host_name(name));
  for (const char* name : {"", "a:1", "*", "a b", "[::1]", "a/b"})
    CHECK_FALSE(is_host_name(name));
  CHECK_FALSE(is_host_name(std::string(254, 'a')));
}

TEST_CASE("TCP without a token takes no changes") {
  Fixture f(*Endpoint::parse("[::1]:8500"));
  Client client(f.world, *Endpoint::parse("[::1]:8500"));
  CHECK(status_of(client.ask("PUT /x HTTP/1.1\r\nHost: [::1]:8500\r\nContent-Length: 0\r\n\r\n")) ==
        "403");
}

TEST_CASE("loopback hosts") {
  for (const char* host : {"127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8500", "localhost",
                           "LocalHost:8500", "127.0.0.12:1"}) {
    CHECK(is_loopback_host(host));
  }
  for (const char* host : {"", "127.0.0.1:", "127.0.0.1:x", "128.0.0.1", "localhost.evil",
                           "[::1]evil", "::1", "127.0.0.1:123456"}) {
    CHECK_FALSE(is_loopback_host(host));
  }
}

TEST_CASE("the log knows the caller of a Unix socket") {
  Fixture f;
  f.world.host("here").set_credentials({4242, 1000, 1000});
  f.ask(kGet);
  const std::string line = f.world.host("here").log().last("http_answered");
  CHECK(line.find("pid=4242") != std::string::npos);
  CHECK(line.find("uid=1000") != std::string::npos);
  CHECK(line.find("status=200") != std::string::npos);
}
