// SPDX-License-Identifier: Apache-2.0
// An agent that has just started, beside another one that has the registrations.
#include "agent/settling.h"

#include <array>
#include <map>

#include <doctest/doctest.h>

#include "agent/doors/api.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "tests/agent/machine.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

constexpr const char* kWithServices = R"({"mdns": {"provider": "off"}, "dns": {"listen": []},
    "services": [{"name": "web", "id": "w", "port": 80, "address": "10.0.0.1"}]})";
constexpr const char* kStarting = R"({"mdns": {"provider": "off"}})";

/// A control socket that takes requests and does not answer.
struct Silent final : Listener::Sink, Stream::Sink {
  void on_accept(std::unique_ptr<Stream> accepted) override {
    stream = std::move(accepted);
    stream->start(*this);
  }
  void on_data(Bytes) override {}
  void on_end() override {}
  void on_broken(NetError) override {}
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> stream;
};

struct Scene final : UdpSocket::Sink {
  sim::World world;
  Machine a{world, "a", "10.0.0.1/24"};
  std::optional<doors::Api> api;
  std::optional<http::Server> server;
  std::optional<Agent> starting;
  std::map<std::string, int> replies;  // by outcome
  std::unique_ptr<UdpSocket> client;
  Silent silent;

  Scene() { client = *env().network.open_udp({.bind = *Endpoint::parse("127.0.0.1:0")}, *this); }
  Env& env() { return a.host().env(); }
  void start_first() {
    REQUIRE(a.start(kWithServices).empty());
    api.emplace(env(), a.agent(), doors::ApiOptions{});
    a.agent().watch([this](const registry::Changes& changes) { api->on_changes(changes); });
    http::ServerOptions on;
    on.on = kSocket;
    REQUIRE(server.emplace(env(), on, *api).start());
    world.advance(1s);
  }
  void be_silent() { silent.listener = *env().network.listen({.on = kSocket}, silent); }
  void start() {
    AgentParts parts{.host_name = "a", .host_identity = a.identity};
    parts.siblings = {[] { return std::vector<std::string>{kSocket.path}; },
                      [](auto) { return std::make_unique<Pending>(); }};
    parts.relays = copy_relays(env());
    auto read = make_config({.files = {{"b.json", kStarting}}, .environment = {}, .sets = {}});
    REQUIRE(read);
    starting.emplace(env(), std::move(*read), std::move(parts)).start();
  }
  void send(const std::string& name) {
    std::array<std::uint8_t, 512> buffer;
    dns::MessageBuilder builder(buffer);
    builder.set_flags({.recursion_desired = true});
    REQUIRE(builder.add_question({.name = *dns::Name::parse(name), .type = dns::RrType::a}));
    (void)client->send(builder.finish(), *Endpoint::parse(Machine::kDns));
  }
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams) {
      const auto view = dns::MessageView::parse(datagram.payload);
      REQUIRE(view.has_value());
      const auto rcode = static_cast<dns::Rcode>(view->header().flags.rcode);
      ++replies[view->header().answers > 0 ? "answer" : dns::to_string(rcode)];
    }
  }
  std::map<std::string, int> take() { return std::exchange(replies, {}); }
};

using Counts = std::map<std::string, int>;

}  // namespace

TEST_CASE("an agent that starts says of no service of its host that it does not exist") {
  Scene scene;
  scene.start_first();
  scene.start();
  CHECK_FALSE(scene.starting->is_settled());
  // In every phase: before the other agent is asked, while it is, and between registry and zone.
  constexpr int kQuestions = 1'000;
  for (int i = 0; i < kQuestions; ++i) {
    scene.send("web.svc");
    scene.world.advance(10us);
  }
  scene.world.advance(2s);
  CHECK(scene.take() == Counts{{"answer", kQuestions}});
  CHECK(scene.starting->is_settled());
  scene.send("other.svc");
  scene.world.advance(10ms);
  CHECK(scene.take() == Counts{{"NXDOMAIN", 1}});
}

TEST_CASE("what is unknown while an agent of the host does not answer is SERVFAIL, not NXDOMAIN") {
  Scene scene;
  scene.be_silent();
  scene.start();
  scene.send("web.svc");
  scene.world.advance(kSettleHold - 50ms);
  CHECK(scene.take().empty());
  scene.world.advance(100ms);
  CHECK(scene.take() == Counts{{"SERVFAIL", 1}});
  CHECK_FALSE(scene.starting->is_settled());
  const std::string get = "GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n";
  Client browser(scene.world, scene.env(), *Endpoint::parse("127.0.0.1:5380"));
  browser.send(get);
  scene.world.advance(kSettleHold + 50ms);
  const std::string refusal = browser.take();
  CHECK(status_of(refusal) == "503");
  CHECK(refusal.find("does not know everything yet") != std::string::npos);

  scene.world.advance(kSettlePatience);
  CHECK(scene.starting->is_settled());
  scene.send("web.svc");
  scene.world.advance(10ms);
  CHECK(scene.take() == Counts{{"NXDOMAIN", 1}});
  Client again(scene.world, scene.env(), *Endpoint::parse("127.0.0.1:5380"));
  CHECK(status_of(again.ask(get)) == "404");
}

TEST_CASE("a dead agent's socket is no reason to wait") {
  Scene scene;
  scene.start();
  scene.world.advance(2 * kSettleInterval);
  CHECK(scene.starting->is_settled());
}

TEST_CASE("an agent that stops before it has settled answers what waits") {
  Scene scene;
  scene.be_silent();
  scene.start();
  scene.send("web.svc");
  scene.world.advance(50ms);
  bool stopped = false;
  scene.starting->stop([&] { stopped = true; });
  scene.world.advance(2s);
  CHECK(stopped);
  CHECK(scene.take() == Counts{{"SERVFAIL", 1}});
}

}  // namespace outrider::test
