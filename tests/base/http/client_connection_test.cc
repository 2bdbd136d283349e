// SPDX-License-Identifier: Apache-2.0
#include "base/http/client_connection.h"

#include <map>

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::http {
namespace {

/// Accepts, remembers what it is sent, and answers only as a case says.
class RawServer final : Listener::Sink {
 public:
  RawServer(Env& env, const std::string& at) {
    listener_ = env.network.listen({.on = *Endpoint::parse(at)}, *this).value();
  }
  struct Peer final : Stream::Sink {
    void on_data(Bytes data) override { heard += as_text(data); }
    void on_end() override { ended = true; }
    void on_broken(NetError) override { ended = true; }
    void say(std::string_view text) { CHECK(stream->write(as_bytes(text))); }
    std::unique_ptr<Stream> stream;
    std::string heard;
    bool ended = false;
  };
  std::vector<std::unique_ptr<Peer>> peers;
  Peer& last() { return *peers.back(); }

 private:
  void on_accept(std::unique_ptr<Stream> stream) override {
    peers.push_back(std::make_unique<Peer>());
    last().stream = std::move(stream);
    last().stream->start(last());
  }
  std::unique_ptr<Listener> listener_;
};

class Names final : public NameLookup {
 public:
  std::map<std::string, Found, std::less<>> known;
  int asked = 0;
  explicit Names(Env& env) : env_(env) {}

 private:
  struct Token final : Pending {
    Timer timer;
  };
  std::unique_ptr<Pending> look_up(std::string_view host, Callback<void(Found)> callback) override {
    ++asked;
    auto token = std::make_unique<Token>();
    const auto found = known.find(host);
    if (found == known.end()) return token;  // no answer at all
    token->timer =
        env_.after(1ms, [answer = found->second, callback = std::move(callback)]() mutable {
          callback(std::move(answer));
        });
    return token;
  }
  Env& env_;
};

struct Client final : ClientConnection::Sink {
  std::string heard;
  std::function<void()> then;
  void on_head(int status, const Headers&) override { heard += std::to_string(status) + ':'; }
  void on_piece(std::string_view piece) override { heard += piece; }
  void on_complete() override {
    heard += '.';
    if (then) then();
  }
  void on_failed(const ClientError& error) override { heard += '!' + error.text; }
  std::string take() { return std::exchange(heard, {}); }
};

struct Bed {
  sim::World world{3};
  sim::Host& us = world.host("us");
  sim::Host& them = world.host("them");
  sim::Link& lan = world.link("lan");
  Names names{us.env()};
  Client client;
  std::unique_ptr<RawServer> server;
  std::unique_ptr<ClientConnection> connection;

  explicit Bed(const std::string& host = "10.0.0.2") {
    us.attach("eth0", lan, {"10.0.0.1/24"});
    them.attach("eth0", lan, {"10.0.0.2/24"});
    server = std::make_unique<RawServer>(them.env(), "10.0.0.2:80");
    connection = std::make_unique<ClientConnection>(
        us.env(), ClientConnection::Server{host, 80, host}, &names);
  }
  void send(ClientConnection::Exchange exchange = {}) {
    connection->send(exchange, client);
    world.advance(5ms);
  }
  std::string after(Duration time) {
    world.advance(time);
    return client.take();
  }
  std::string answer(std::string_view text) {
    server->last().say(text);
    return after(5ms);
  }
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kStream = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_CASE("one connection serves request after request") {
  Bed bed;
  bed.send({.target = "/a", .headers = {{"X-Y", "z"}}, .body = "{}"});
  CHECK(bed.server->last().heard.starts_with("POST /a HTTP/1.1\r\nHost: 10.0.0.2\r\n"));
  CHECK(bed.server->last().heard.find("X-Y: z\r\n") != std::string::npos);
  CHECK(bed.server->last().heard.ends_with("\r\n\r\n{}"));
  CHECK(bed.answer(kOk) == "200:ok.");
  bed.client.then = [&] {
    bed.client.then = nullptr;
    bed.connection->send({.target = "/c"}, bed.client);
  };
  bed.send({.target = "/b"});
  CHECK(bed.answer(kOk) == "200:ok.");
  CHECK(bed.answer(kOk) == "200:ok.");
  CHECK(bed.server->peers.size() == 1);
  CHECK(bed.server->last().heard.find("POST /c") != std::string::npos);
}

TEST_CASE("a body is handed over as it comes, and may never end") {
  Bed bed;
  bed.send({.deadlines = {.silence = {}}});
  CHECK(bed.answer(kStream) == "200:");
  CHECK(bed.answer("3\r\none\r\n") == "one");
  CHECK(bed.after(24h) == "");
  CHECK(bed.answer("3\r\ntwo\r\n") == "two");
  CHECK(bed.answer("what?\r\n") == "!the answer is not valid HTTP/1.1: malformed");
}

TEST_CASE("more than the parser keeps of one body passes through in pieces") {
  Bed bed;
  bed.send({.deadlines = {.silence = {}}});
  CHECK(bed.answer(kStream) == "200:");
  std::size_t total = 0;
  for (int i = 0; i < 40; ++i) {
    bed.server->last().say("10000\r\n" + std::string(0x10000, 'x') + "\r\n");
    total += bed.after(5ms).size();
  }
  CHECK(total == 40U * 0x10000);
}

TEST_CASE("however an answer is cut, it is the same") {
  const std::string whole = std::string(kStream) + "3\r\none\r\n3\r\ntwo\r\n0\r\nT: x\r\n\r\n";
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Bed bed;
    bed.send();
    std::string heard = bed.answer(whole.substr(0, cut));
    heard += bed.answer(whole.substr(cut));
    CHECK(heard == "200:onetwo.");
    bed.send();
    CHECK(bed.answer(whole) == "200:onetwo.");
    CHECK(bed.server->peers.size() == 1);
  }
}

TEST_CASE("each step has its own deadline") {
  Bed bed;
  bed.them.set_fault(80, {.kind = sim::Fault::Kind::black_hole});
  bed.send();
  CHECK(bed.after(990ms) == "");
  CHECK(bed.after(10ms) == "!no connection within 1s");
  bed.them.set_fault(80, {});
  bed.send();
  CHECK(bed.after(1'990ms) == "");
  CHECK(bed.after(10ms) == "!no answer within 2s");
  bed.send();
  CHECK(bed.answer(kStream) == "200:");
  CHECK(bed.answer("1\r\nx\r\n") == "x");
  CHECK(bed.after(1'990ms) == "");
  CHECK(bed.answer("1\r\ny\r\n") == "y");
  CHECK(bed.after(2s) == "!nothing more within 2s");
  CHECK(!bed.connection->is_busy());
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  CHECK(bed.after(1h) == "");
}

TEST_CASE("a kept connection that was closed is opened again, without a lost request") {
  Bed bed;
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  bed.server->last().stream.reset();
  CHECK(bed.after(5ms) == "");
  bed.send();
  CHECK(bed.server->peers.size() == 2);
  CHECK(bed.answer(kOk) == "200:ok.");
  SUBCASE("a request that crossed the close is sent again if it may be") {
    bed.connection->send({.repeatable = true}, bed.client);
    bed.server->last().stream.reset();
    CHECK(bed.after(5ms) == "");
    REQUIRE(bed.server->peers.size() == 3);
    CHECK(bed.answer(kOk) == "200:ok.");
  }
  SUBCASE("and fails if it may not") {
    bed.connection->send({.repeatable = false}, bed.client);
    bed.server->last().stream.reset();
    CHECK(bed.after(5ms).starts_with("!the connection was closed"));
    CHECK(bed.server->peers.size() == 2);
  }
  SUBCASE("or if an answer has begun") {
    bed.send({.repeatable = true});
    bed.server->last().say("HTTP/1.1 200");
    CHECK(bed.after(5ms) == "");
    bed.server->last().stream.reset();
    CHECK(bed.after(5ms).starts_with("!the connection was closed"));
  }
}

TEST_CASE("a server that closes a fresh connection without a byte may be one with TLS") {
  Bed bed;
  bed.send();
  bed.server->last().stream.reset();
  CHECK(bed.after(5ms) ==
        "!the connection was closed without an answer; a server with TLS needs an https:// URL");
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  bed.send();
  bed.server->last().stream.reset();
  CHECK(bed.after(5ms) == "!the connection was closed without an answer");
}

TEST_CASE("an answer that is cut short is not taken for complete") {
  Bed bed;
  bed.send();
  bed.server->last().say(kStream);
  bed.server->last().say("3\r\none\r\n");
  bed.server->last().stream->finish();
  CHECK(bed.after(5ms) == "200:one!the connection ended within the answer");
  SUBCASE("but a body without a length ends with the connection") {
    bed.send();
    bed.server->last().say("HTTP/1.1 200 OK\r\n\r\nall");
    bed.server->last().stream->finish();
    CHECK(bed.after(5ms) == "200:all.");
  }
}

TEST_CASE("bytes that answer no request close the connection") {
  Bed bed;
  bed.send();
  CHECK(bed.answer(std::string(kOk) + std::string(kOk)) == "200:ok.");
  CHECK(bed.server->last().ended);
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  CHECK(bed.answer("x") == "");
  CHECK(bed.server->last().ended);
}

TEST_CASE("a server that wants the connection closed gets a new one") {
  Bed bed;
  bed.send();
  CHECK(bed.answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") == "200:.");
  bed.send();
  CHECK(bed.server->peers.size() == 2);
  CHECK(bed.answer(kOk) == "200:ok.");
}

TEST_CASE("names are looked up at each connect, and their addresses tried in turn") {
  Bed bed("etcd.example");
  bed.names.known["etcd.example"] =
      std::vector{*IpAddress::parse("10.0.0.9"), *IpAddress::parse("10.0.0.2")};
  bed.send();
  CHECK(bed.after(1s) == "!no connection within 1s");
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  CHECK(bed.connection->peer()->to_string() == "10.0.0.2:80");
  CHECK(bed.names.asked == 2);
  bed.send();
  CHECK(bed.names.asked == 2);
  CHECK(bed.answer(kOk) == "200:ok.");
  bed.names.known["etcd.example"] = failure(std::string("no such name"));
  bed.connection->close();
  bed.send();
  CHECK(bed.client.take() == "!no such name");
  bed.names.known.clear();
  bed.send();
  CHECK(bed.after(1s) == "!no connection within 1s");
}

TEST_CASE("without a lookup only addresses and localhost are known") {
  Bed bed;
  RawServer here(bed.us.env(), "127.0.0.1:80");
  ClientConnection named(bed.us.env(), {"etcd.example", 80, "etcd.example"}, nullptr);
  named.send({}, bed.client);
  CHECK(bed.client.heard.empty());
  CHECK(bed.after(1ms) == "!host names cannot be looked up");
  ClientConnection local(bed.us.env(), {"LocalHost", 80, "localhost"}, nullptr);
  local.send({}, bed.client);
  bed.world.advance(1ms);
  here.last().say(kOk);
  CHECK(bed.after(1ms) == "200:ok.");
}

TEST_CASE("a sink may close or destroy the connection at any step") {
  for (const std::string_view step : {"head", "piece", "complete", "failed"}) {
    CAPTURE(step);
    struct Ender final : ClientConnection::Sink {
      std::string_view step;
      std::function<void()> end;
      int calls_after = 0;
      bool over = false;
      void at(std::string_view now) {
        calls_after += over ? 1 : 0;
        if (now != step) return;
        over = true;
        end();
      }
      void on_head(int, const Headers&) override { at("head"); }
      void on_piece(std::string_view) override { at("piece"); }
      void on_complete() override { at("complete"); }
      void on_failed(const ClientError&) override { at("failed"); }
    };
    for (const bool destroy : {false, true}) {
      Bed bed;
      Ender ender;
      ender.step = step;
      ender.end = [&] {
        if (destroy)
          bed.connection.reset();
        else
          bed.connection->close();
      };
      bed.connection->send({}, ender);
      bed.world.advance(5ms);
      bed.server->last().say(step == "failed" ? "junk\r\n\r\n" : kOk);
      bed.world.advance(5s);
      CHECK(ender.over);
      CHECK(ender.calls_after == 0);
      CHECK(bed.server->last().ended);
    }
  }
}

TEST_CASE("a peer that has vanished breaks a stream that only listens") {
  Bed bed;
  bed.send({.deadlines = {.silence = {}}});
  CHECK(bed.answer(kStream) == "200:");
  bed.lan.set_up(false);
  CHECK(bed.after(kKeepAliveIdle) == "");
  CHECK(bed.after(2 * kKeepAliveIdle) == "!the connection ended within the answer");
}

TEST_CASE("a request that is not acknowledged breaks the connection") {
  Bed bed;
  bed.send();
  CHECK(bed.answer(kOk) == "200:ok.");
  bed.lan.set_up(false);
  bed.connection->send({.deadlines = {.head = {}}}, bed.client);
  CHECK(bed.after(9s) == "");
  CHECK(bed.after(10s).starts_with("!the connection was closed: "));
}

}  // namespace
}  // namespace outrider::http
