// SPDX-License-Identifier: Apache-2.0
#include "probes/http_probe.h"

#include <doctest/doctest.h>

#include "probes/tcp_probe.h"
#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::probes;
using Answer = sim::HttpServer::Answer;

namespace {

const Endpoint kTarget{IpAddress::v4(127, 0, 0, 1), 8080};

/// A machine with a server on 8080, and probes run against it one by one.
struct Scene {
  sim::World world;
  sim::Host& host = world.host("here");
  Env& env = host.env();
  sim::HttpServer server{env, 8080};
  HttpCheck check{.target = kTarget, .path = "/health"};
  Duration timeout = 2s;

  Outcome run(Prober& prober) {
    std::optional<Outcome> got;
    const TimePoint start = env.now();
    const auto probe = prober.start(env, timeout, [&](Outcome outcome) {
      CHECK_FALSE(got);
      got = std::move(outcome);
    });
    CHECK_FALSE(got);
    world.run_until([&] { return got.has_value(); }, timeout + 1s);
    REQUIRE(got);
    CHECK(got->at == env.now());
    CHECK(got->at - start <= timeout);
    CHECK(got->latency == got->at - start);
    CHECK(got->output.size() <= kOutputBytesMax);
    return *got;
  }
  Outcome run() {
    const auto prober = make_http_prober(check);
    return run(*prober);
  }
  std::string kind(Answer answer) {
    server.set("/health", std::move(answer));
    return to_string(run().kind);
  }
};

}  // namespace

TEST_CASE("statuses") {
  Scene scene;
  CHECK(scene.kind({.status = 200}) == "pass");
  CHECK(scene.kind({.status = 204, .body = ""}) == "pass");
  CHECK(scene.kind({.status = 299}) == "pass");
  CHECK(scene.kind({.status = 429}) == "warn");
  for (const int status : {301, 302, 304, 400, 404, 500, 503}) {
    CAPTURE(status);
    CHECK(scene.kind({.status = status, .headers = {"Location: http://169.254.169.254/"}}) ==
          "fail_status");
  }
  scene.check.options.expect.status = {404, 429};
  CHECK(scene.kind({.status = 404}) == "pass");
  CHECK(scene.kind({.status = 429}) == "pass");
  CHECK(scene.kind({.status = 200}) == "fail_status");
}

TEST_CASE("what is asked and what is told") {
  Scene scene;
  scene.server.set("/health", {.status = 503, .body = "no database"});
  const Outcome outcome = scene.run();
  CHECK(outcome.status == 503);
  CHECK(outcome.output == "HTTP 503: no database");
  CHECK(scene.server.requests().at(0) ==
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: outrider/" OUTRIDER_VERSION
        "\r\nAccept: */*\r\nConnection: close\r\n\r\n");

  scene.check.options.headers = {
      {"hOST", "app.example"}, {"User-Agent", "me"}, {"Connection", "upgrade"}, {"X-Token", "t"}};
  scene.check.options.method = "OPTIONS";
  scene.run();
  CHECK(scene.server.requests().at(1) ==
        "OPTIONS /health HTTP/1.1\r\nHost: app.example\r\nUser-Agent: me\r\nX-Token: t\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n");

  CHECK(host_of({.target = *Endpoint::parse("[fe80::1%3]:80")}) == "[fe80::1]:80");
  CHECK(host_of({.target = UnixPath{"/run/x"}}) == "localhost");
  CHECK(host_of({.target = kTarget, .options = {.host = "h"}}) == "h");
}

TEST_CASE("a HEAD request has no body to wait for") {
  Scene scene;
  scene.check.options.method = "HEAD";
  CHECK(scene.kind({.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"}) == "pass");
}

TEST_CASE("body and identity") {
  Scene scene;
  scene.check.options.expect.body = "\"ok\"";
  CHECK(scene.kind({.body = R"({"status": "ok"})"}) == "pass");
  CHECK(scene.kind({.body = R"({"status": "no"})"}) == "fail_body");
  scene.check.options.expect.header = {"X-Service", "hello"};
  CHECK(scene.kind({.body = "\"ok\"", .headers = {"x-service: hello"}}) == "pass");
  CHECK(scene.kind({.body = "\"ok\"", .headers = {"x-service: other"}}) == "fail_identity");
  CHECK(scene.kind({.body = "\"ok\""}) == "fail_identity");
  CHECK(scene.kind({.status = 500}) == "fail_identity");
}

TEST_CASE("over a Unix socket") {
  Scene scene;
  sim::HttpServer unix_server(scene.env, UnixPath{"/run/app.sock"});
  unix_server.set("/health", {});
  scene.check.target = UnixPath{"/run/app.sock"};
  CHECK(scene.run().kind == OutcomeKind::pass);
  CHECK(unix_server.requests().at(0).find("Host: localhost\r\n") != std::string::npos);
  scene.check.target = UnixPath{"/run/nobody.sock"};
  CHECK(scene.run().kind == OutcomeKind::fail_unreachable);
}

TEST_CASE("each way to fail") {
  Scene scene;
  scene.server.set("/health", {});
  using Kind = sim::Fault::Kind;
  const auto with = [&](sim::Fault fault) {
    scene.host.set_fault(8080, fault);
    const Outcome outcome = scene.run();
    scene.host.set_fault(8080, {});
    return std::string(to_string(outcome.kind)) + ": " + outcome.output;
  };
  CHECK(with({.kind = Kind::refuse}) == "fail_refused: cannot connect: connection refused");
  CHECK(with({.kind = Kind::black_hole}) == "fail_timeout: timeout: no connection");
  CHECK(with({.kind = Kind::silent}) == "fail_timeout: timeout: connected, no answer");
  CHECK(with({.reset_after = 0}) == "fail_reset: cannot wait for the answer: connection reset");
  CHECK(with({.reset_after = 10}) == "fail_reset: cannot read the answer: connection reset");
  CHECK(with({.drip = 500ms}) == "fail_timeout: timeout: the head of the answer was not whole");
  CHECK(with({}) == "pass: HTTP 200: ok");

  // The whole of it has to be there in time, not each part.
  CHECK(scene.kind({.after = 1'900ms}) == "pass");
  CHECK(scene.kind({.after = 2'100ms}) == "fail_timeout");
  scene.check.options.reuse = true;
  CHECK(scene.kind({.raw = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"}) == "fail_timeout");
  CHECK(scene.run().output == "timeout: the body of the answer was not whole: HTTP 200: hal");
  scene.check.options.reuse = false;
  CHECK(scene.kind({.close = true, .raw = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"}) ==
        "fail_protocol");
  CHECK(scene.run().output == "connection closed in the middle of the answer");
  CHECK(scene.kind({.close = true, .raw = "HTTP/1.0 200 OK\r\n\r\nto the end"}) == "pass");
  CHECK(scene.run().output == "HTTP 200: to the end");
  CHECK(scene.kind({.raw = "SSH-2.0-OpenSSH_9.2\r\n"}) == "fail_protocol");
  CHECK(scene.kind({.raw = "HTTP/1.1 200 OK\n\n"}) == "fail_protocol");
  CHECK(scene.run().output ==
        "not a clean HTTP/1 answer: a line of its head ends with LF instead of CRLF");
  CHECK(scene.kind({.raw = "HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n"}) == "fail_protocol");
  CHECK(scene.run().output.find("LF instead of CRLF") != std::string::npos);
  CHECK(scene.kind({.raw = "HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x')}) ==
        "fail_protocol");
  CHECK(scene.run().output == "the head of the answer is longer than 16 KiB");

  scene.check.target = Endpoint{IpAddress::v4(192, 0, 2, 1), 80};
  CHECK(scene.run().kind == OutcomeKind::fail_unreachable);
}

TEST_CASE("an endless body is cut, and says so by its length only") {
  Scene scene;
  CHECK(scene.kind({.raw = "HTTP/1.0 200 OK\r\n\r\n" + std::string(100'000, 'x')}) == "pass");
  const Outcome outcome = scene.run();
  CHECK(outcome.output.size() == kOutputBytesMax);
  CHECK(outcome.latency < 1s);
}

TEST_CASE("each probe makes a connection, unless it may be kept") {
  Scene scene;
  scene.server.set("/health", {});
  const auto fresh = make_http_prober(scene.check);
  scene.run(*fresh);
  scene.world.settle();
  CHECK(scene.server.connections() == 0);

  scene.check.options.reuse = true;
  const auto keeping = make_http_prober(scene.check);
  for (int i = 0; i < 3; ++i) {
    CHECK(scene.run(*keeping).kind == OutcomeKind::pass);
    scene.world.settle();
    CHECK(scene.server.connections() == 1);
  }
  CHECK(scene.server.requests().back().find("Connection:") == std::string::npos);

  // The server closes it in between: nobody's failure.
  scene.server.set_listening(false);
  scene.server.set_listening(true);
  CHECK(scene.run(*keeping).kind == OutcomeKind::pass);
  // It says that it will close.
  scene.server.set("/health", {.headers = {"Connection: close"}, .close = true});
  CHECK(scene.run(*keeping).kind == OutcomeKind::pass);
  CHECK(scene.run(*keeping).kind == OutcomeKind::pass);
  scene.world.settle();
  CHECK(scene.server.connections() == 0);
  // It is gone for good.
  scene.server.set("/health", {});
  scene.run(*keeping);
  scene.server.set_listening(false);
  CHECK(scene.run(*keeping).kind == OutcomeKind::fail_refused);
  // More than was asked for: not a connection to go on with.
  scene.server.set_listening(true);
  scene.server.set("/health",
                   {.raw = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"});
  CHECK(scene.run(*keeping).kind == OutcomeKind::pass);
  scene.world.settle();
  CHECK(scene.server.connections() == 0);
}

TEST_CASE("statuses without a body have none, whatever their fields say") {
  Scene scene;
  for (const char* status : {"204 No Content", "304 Not Modified"})
    for (const char* field : {"Transfer-Encoding: chunked", "Content-Length: 5", "X: y"})
      for (const bool reuse : {false, true}) {
        CAPTURE(status);
        CAPTURE(field);
        scene.check.options.reuse = reuse;
        scene.check.options.expect.status = {204, 304};
        CHECK(scene.kind({.raw = std::string("HTTP/1.1 ") + status + "\r\n" + field +
                                 "\r\n\r\n"}) == "pass");
      }
}

TEST_CASE("connections end in an orderly way, but for servers that hang") {
  Scene scene;
  struct Server final : Listener::Sink, Stream::Sink {
    std::unique_ptr<Stream> stream;
    std::string ends, answer;
    void on_accept(std::unique_ptr<Stream> accepted) override {
      stream = std::move(accepted);
      stream->start(*this);
    }
    void on_data(Bytes) override { (void)stream->write(as_bytes(answer)); }
    void on_end() override { ends += "end "; }
    void on_broken(NetError error) override { ends += std::string(to_string(error)) + ' '; }
  } server;
  const auto listener =
      scene.host.env().network.listen({.on = Endpoint{kTarget.address, 81}}, server);
  REQUIRE(listener);
  const auto ended = [&](Prober& prober) {
    server.ends.clear();
    scene.run(prober);
    scene.world.settle();
    return server.ends;
  };
  CHECK(ended(*make_tcp_prober({Endpoint{kTarget.address, 81}})) == "end ");
  scene.check.target = Endpoint{kTarget.address, 81};
  server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  CHECK(ended(*make_http_prober(scene.check)) == "end ");
  server.answer = "HTTP/1.1 200 OK\r\n";
  CHECK(ended(*make_http_prober(scene.check)) == "connection reset ");
}

TEST_CASE("forgetting closes what was kept") {
  Scene scene;
  scene.server.set("/health", {});
  scene.check.options.reuse = true;
  const auto prober = make_http_prober(scene.check);
  scene.run(*prober);
  CHECK(scene.server.connections() == 1);
  prober->forget();
  scene.world.settle();
  CHECK(scene.server.connections() == 0);
}

TEST_CASE("a probe that is destroyed is never heard of") {
  Scene scene;
  scene.server.set("/health", {.after = 100ms});
  const auto prober = make_http_prober(scene.check);
  for (const Duration life : {0ms, 1ms, 50ms}) {
    auto probe = prober->start(scene.env, 2s, [](Outcome) { FAIL("heard of"); });
    scene.world.advance(life);
    probe.reset();
    scene.world.advance(5s);
  }
  CHECK(scene.server.connections() == 0);
}

TEST_CASE("a probe may be destroyed by its own callback") {
  Scene scene;
  scene.server.set("/health", {});
  const auto prober = make_http_prober(scene.check);
  std::unique_ptr<Probe> probe;
  int calls = 0;
  probe = prober->start(scene.env, 2s, [&](Outcome) {
    probe.reset();
    ++calls;
  });
  scene.world.advance(5s);
  CHECK(calls == 1);
}

TEST_CASE("TCP: a server that speaks first is not reset, and is not waited for without end") {
  Scene scene;
  struct Server final : Listener::Sink, Stream::Sink {
    Env& env;
    std::unique_ptr<Stream> stream;
    Timer later;
    std::size_t bytes = 0;
    std::string ends;
    bool closes = true;
    explicit Server(Env& e) : env(e) {}
    void on_accept(std::unique_ptr<Stream> accepted) override {
      stream = std::move(accepted);
      stream->start(*this);
      later = env.after(100ms, [this] {
        const std::string greeting(bytes, 'g');
        (void)stream->write(as_bytes(greeting));
        if (closes) stream->finish();
      });
    }
    void on_data(Bytes) override {}
    void on_end() override { ends += "end "; }
    void on_broken(NetError error) override { ends += std::string(to_string(error)) + ' '; }
  } server(scene.host.env());
  const auto listener =
      scene.host.env().network.listen({.on = Endpoint{kTarget.address, 81}}, server);
  REQUIRE(listener);
  const auto prober = make_tcp_prober({Endpoint{kTarget.address, 81}});
  const auto ended = [&](std::size_t bytes, bool closes) {
    server.ends.clear();
    server.bytes = bytes;
    server.closes = closes;
    CHECK(scene.run(*prober).kind == OutcomeKind::pass);
    scene.world.advance(2 * kTcpCloseWait);
    (void)server.stream->write(as_bytes(std::string("late")));
    scene.world.settle();
    return server.ends;
  };
  CHECK(ended(0, true) == "end ");
  CHECK(ended(20, true) == "end ");
  CHECK(ended(kTcpGreetingBytesMax, true) == "end ");
  // These two are dropped, which the server notices when it writes again.
  CHECK(ended(kTcpGreetingBytesMax + 1, false) == "end connection reset ");
  CHECK(ended(20, false) == "end connection reset ");
}

TEST_CASE("TCP: a connection is enough") {
  Scene scene;
  const auto prober = make_tcp_prober({kTarget});
  CHECK(scene.run(*prober).kind == OutcomeKind::pass);
  scene.world.settle();
  CHECK(scene.server.connections() == 0);
  scene.host.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
  CHECK(scene.run(*prober).kind == OutcomeKind::fail_timeout);
  scene.host.set_fault(8080, {});
  scene.server.set_listening(false);
  CHECK(scene.run(*prober).kind == OutcomeKind::fail_refused);
}
