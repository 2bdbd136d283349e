// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

namespace outrider::sim {
namespace {

struct Talk final : Stream::Sink {
  void on_data(Bytes data) override { text += as_text(data); }
  void on_end() override { ended = true; }
  void on_broken(NetError error) override { broken = error; }
  void on_drained() override { ++drained; }
  std::string text;
  bool ended = false;
  std::optional<NetError> broken;
  int drained = 0;
};

struct Server final : Listener::Sink {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> stream;
  Talk talk;
  Server(Host& host, const ListenOptions& options)
      : listener(*host.env().network.listen(options, *this)) {}
  void on_accept(std::unique_ptr<Stream> accepted) override {
    stream = std::move(accepted);
    stream->start(talk);
  }
};

struct Client {
  std::optional<Result<std::unique_ptr<Stream>, NetError>> result;
  Talk talk;
  TimePoint at;
  std::unique_ptr<Pending> pending;
  Client(Host& host, const StreamAddress& to)
      : pending(host.env().network.connect({to, {}}, [this, &host](auto connected) {
          result = std::move(connected);
          at = host.now();
          if (*result) (**result)->start(talk);
        })) {}
  Stream& stream() { return ***result; }
  std::optional<NetError> error() const {
    if (!result || *result) return std::nullopt;
    return result->error();
  }
};

StreamAddress tcp(const char* text) {
  return *Endpoint::parse(text);
}

struct Lan {
  World world{3};
  Link& link = world.link("lan");
  Host& a = world.host("a");
  Host& b = world.host("b");
  TimePoint start = world.now();
  Lan() {
    a.attach("eth0", link, {"10.0.0.1/24"});
    b.attach("eth0", link, {"10.0.0.2/24"});
  }
};

TEST_CASE("a stream carries bytes both ways, half-closed one way") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  Client client(lan.a, tcp("10.0.0.2:80"));
  CHECK(!client.result);
  lan.world.settle();
  REQUIRE(client.result);
  CHECK(client.at == lan.start + 400us);
  CHECK(client.stream().write(as_bytes("ping")).has_value());
  client.stream().finish();
  CHECK(client.stream().write(as_bytes("x")).error() == NetError::closed);
  lan.world.settle();
  CHECK(server.talk.text == "ping");
  CHECK(server.talk.ended);
  CHECK(server.stream->write(as_bytes("pong")).has_value());
  lan.world.settle();
  CHECK(client.talk.text == "pong");
  CHECK(!client.talk.ended);
  server.stream.reset();
  lan.world.settle();
  CHECK(client.talk.ended);
  CHECK(!client.talk.broken);
  CHECK(server.listener->local() == tcp("0.0.0.0:80"));
}

TEST_CASE("connects that fail, and when") {
  Lan lan;
  const auto fails = [&](const StreamAddress& to, Duration most = 200s) {
    const TimePoint start = lan.world.now();
    Client client(lan.a, to);
    CHECK(lan.world.run_until([&] { return client.result.has_value(); }, most));
    return std::pair(*client.error(), client.at - start);
  };
  using Failed = std::pair<NetError, Duration>;
  CHECK(fails(tcp("10.0.0.2:81")) == Failed{NetError::refused, 400us});
  CHECK(fails(tcp("127.0.0.1:81")) == Failed{NetError::refused, 0s});
  CHECK(fails(tcp("192.0.2.1:80")) == Failed{NetError::unreachable, 0s});
  CHECK(fails(tcp("10.0.0.77:80")) == Failed{NetError::unreachable, 3s});
  lan.b.set_fault(82, {.kind = Fault::Kind::black_hole});
  CHECK(fails(tcp("10.0.0.2:82")) == Failed{NetError::timed_out, 127s});
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  lan.b.set_fault(80, {.kind = Fault::Kind::refuse});
  CHECK(fails(tcp("10.0.0.2:80")).first == NetError::refused);
  CHECK(fails(UnixPath{"/run/x"}).first == NetError::not_available);
  lan.a.leave_dead_socket("/run/x");
  CHECK(fails(UnixPath{"/run/x"}).first == NetError::refused);
}

TEST_CASE("cancelled connects call nobody") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.advance(300us);
  client.pending.reset();
  lan.world.settle();
  CHECK(!client.result);
  CHECK(server.talk.broken == NetError::reset);
}

TEST_CASE("a silent peer accepts and says nothing") {
  Lan lan;
  lan.b.set_fault(80, {.kind = Fault::Kind::silent});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.settle();
  CHECK(client.stream().write(as_bytes("GET")).has_value());
  lan.world.advance(1h);
  CHECK(client.talk.text.empty());
  CHECK(!client.talk.ended);
  CHECK(!client.talk.broken);
}

TEST_CASE("a dripping peer, and one that resets half-way") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  lan.b.set_fault(80, {.drip = 1s, .reset_after = 5});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.settle();
  CHECK(server.stream->write(as_bytes("0123456789")).has_value());
  lan.world.advance(3100ms);
  CHECK(client.talk.text.size() >= 3);
  CHECK(client.talk.text.size() <= 4);
  lan.world.advance(3s);
  CHECK(client.talk.text == "01234");
  CHECK(client.talk.broken == NetError::reset);
}

TEST_CASE("closing with unread data, or on demand, resets") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.settle();
  SUBCASE("unread") {
    server.stream->set_paused(true);
    CHECK(client.stream().write(as_bytes("x")).has_value());
    lan.world.settle();
    server.stream.reset();
    lan.world.settle();
    CHECK(client.talk.broken == NetError::reset);
  }
  SUBCASE("on demand") {
    client.stream().reset_on_destroy();
    client.result.reset();
    lan.world.settle();
    CHECK(server.talk.broken == NetError::reset);
  }
  SUBCASE("written to after the close") {
    server.stream.reset();
    lan.world.settle();
    CHECK(client.talk.ended);
    CHECK(client.stream().write(as_bytes("x")).has_value());
    lan.world.settle();
    CHECK(client.talk.broken == NetError::reset);
    CHECK(client.stream().write(as_bytes("x")).error() == NetError::closed);
  }
}

TEST_CASE("a full window waits for the reader; the queue has its limit; drained is reported") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.settle();
  server.stream->set_paused(true);
  const std::string big(kStreamUnsentBytesMax, 'x');
  CHECK(client.stream().write(as_bytes(big)).has_value());
  CHECK(client.stream().unsent_bytes() == kStreamUnsentBytesMax - kStreamWindowBytes);
  CHECK(client.stream().write(as_bytes(big)).error() == NetError::too_big);
  lan.world.settle();
  CHECK(client.talk.drained == 0);
  server.stream->set_paused(false);
  lan.world.settle();
  CHECK(server.talk.text.size() == big.size());
  CHECK(client.talk.drained == 1);
  CHECK(client.stream().unsent_bytes() == 0);
}

TEST_CASE("a stream stalls while the link is down, and breaks in the end") {
  Lan lan;
  Server server(lan.b, {.on = tcp("0.0.0.0:80")});
  Client client(lan.a, tcp("10.0.0.2:80"));
  lan.world.settle();
  lan.link.set_up(false);
  CHECK(client.stream().write(as_bytes("x")).has_value());
  SUBCASE("repaired") {
    lan.world.advance(10s);
    CHECK(server.talk.text.empty());
    lan.link.set_up(true);
    lan.world.advance(20s);
    CHECK(server.talk.text == "x");
  }
  SUBCASE("given up") {
    lan.world.advance(1h);
    CHECK(client.talk.broken == NetError::timed_out);
  }
}

TEST_CASE("listeners: clash, reuse_port, pause, backlog") {
  Lan lan;
  Server one(lan.b, {.on = tcp("0.0.0.0:80"), .reuse_port = true, .backlog = 1});
  CHECK(lan.b.env().network.listen({.on = tcp("10.0.0.2:80")}, one).error() == NetError::in_use);
  CHECK(lan.b.env().network.listen({.on = tcp("10.0.0.9:80")}, one).error() ==
        NetError::not_available);
  {
    Server two(lan.b, {.on = tcp("0.0.0.0:80"), .reuse_port = true});
    CHECK(two.listener->local() == tcp("0.0.0.0:80"));
  }
  one.listener->set_paused(true);
  Client first(lan.a, tcp("10.0.0.2:80"));
  Client second(lan.a, tcp("10.0.0.2:80"));
  lan.world.advance(100ms);
  CHECK(first.result.has_value());
  CHECK(!second.result.has_value());
  CHECK(one.stream == nullptr);
  one.listener->set_paused(false);
  lan.world.advance(2s);
  CHECK(one.stream != nullptr);
  CHECK(second.result.has_value());
}

TEST_CASE("Unix sockets: credentials, take-over, removal") {
  World world;
  Host& here = world.host("here");
  here.leave_dead_socket("/run/x");
  {
    Server server(here, {.on = UnixPath{"/run/x"}});
    CHECK(here.env().network.listen({.on = UnixPath{"/run/x"}}, server).error() ==
          NetError::in_use);
    Client client(here, UnixPath{"/run/x"});
    world.settle();
    REQUIRE(server.stream != nullptr);
    CHECK(server.stream->peer_credentials()->uid == 1'000);
  }
  Client late(here, UnixPath{"/run/x"});
  world.settle();
  CHECK(late.error() == NetError::not_available);
}

TEST_CASE("the scripted server answers, thinks, changes its mind, dies and comes back") {
  World world;
  Host& here = world.host("here");
  sim::HttpServer server(here.env(), 8080);
  server.set("/health", {.body = "fine"});
  Client client(here, tcp("127.0.0.1:8080"));
  world.settle();
  const auto get = as_bytes("GET /health?x HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(client.stream().write(get).has_value());
  world.settle();
  CHECK(client.talk.text == "HTTP/1.1 200 Scripted\r\nContent-Length: 4\r\n\r\nfine");
  client.talk.text.clear();
  server.set("/health", {.status = 503, .body = "", .after = 2s, .close = true});
  CHECK(client.stream().write(get).has_value());
  world.advance(1s);
  CHECK(client.talk.text.empty());
  world.advance(1s);
  CHECK(client.talk.text.starts_with("HTTP/1.1 503"));
  CHECK(client.talk.ended);
  CHECK(server.requests().size() == 2);
  server.set_listening(false);
  Client refused(here, tcp("127.0.0.1:8080"));
  world.settle();
  CHECK(refused.error() == NetError::refused);
  server.set_listening(true);
  Client again(here, tcp("[::1]:8080"));
  world.settle();
  CHECK(!again.error());
}

}  // namespace
}  // namespace outrider::sim
