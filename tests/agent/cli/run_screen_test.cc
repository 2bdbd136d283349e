// SPDX-License-Identifier: Apache-2.0
// `outrider run` on a simulated host, beside a program that the test plays.
#include <doctest/doctest.h>

#include "agent/bridge/refusal.h"
#include "agent/cli/run/needs.h"
#include "agent/cli/run/screen.h"
#include "tests/agent/machine.h"

namespace outrider::cli::beside {
namespace {

using test::Machine;

constexpr const char* kHello =
    R"({"services": [{"name": "hello", "id": "h", "port": 80, "local_name": true,
                      "checks": [{"http": "/health", "interval": "1s"}]}]})";

struct Scene {
  sim::World world;
  Machine a{world, "a", "10.0.0.1/24"};
  std::string text;
  std::optional<Screen> screen;
  bool has_keys = false;
  std::vector<IpAddress> found;  // what the host's resolver says of hello.svc

  void start(Screen::Face face = Screen::Face::terminal, const char* config = kHello) {
    screen.emplace(
        a.host().env(),
        Screen::Parts{.write = [this](std::string_view said) { text += said; },
                      .pid = [] { return std::int64_t{4711}; },
                      .look_up = [this](const std::string&,
                                        auto answer) { return look_up(std::move(answer)); },
                      .has_keys = [this] { return has_keys; }});
    REQUIRE(a.start(config).empty());
    screen->follow(a.agent(), "h", face);
    screen->begin();
  }
  /// With what it says until then left out.
  void start_passing() {
    a.server(80).set("/health", {});
    start();
    world.advance(5s);
    text.clear();
  }
  ~Scene() {
    if (screen) screen->end();
    a.kill();
  }

 private:
  struct Waiting final : Pending {
    Timer timer;
  };
  std::unique_ptr<Pending> look_up(Callback<void(std::vector<IpAddress>)> answer) {
    auto waiting = std::make_unique<Waiting>();
    waiting->timer =
        a.host().env().after(1ms, [this, answer = std::move(answer)]() mutable { answer(found); });
    return waiting;
  }
};

TEST_CASE("the block appears once, at the first passing, with what has answered") {
  Scene scene;
  scene.a.server(80).set("/", {});
  scene.a.server(80).set("/health", {});
  scene.start();
  scene.world.advance(20s);
  CHECK(scene.text.find("  hello  passing") == 1);
  CHECK(scene.text.find("hello  passing", 5) == std::string::npos);
  CHECK(scene.text.find("http: HTTP 200: ok") != std::string::npos);
  CHECK(scene.text.find("pid 4711") != std::string::npos);
  CHECK(scene.screen->places().here == "http://127.0.0.1:80/");
  CHECK(scene.screen->places().lan == "http://10.0.0.1:80/");
  CHECK(scene.screen->places().lan_name == "http://hello.local:80/");
  CHECK(scene.screen->places().name.empty());
}

TEST_CASE("the bridge and the page are shown where an agent has them, and the bridge knows it") {
  Scene scene;
  scene.a.server(80).set("/", {});
  scene.a.server(80).set("/health", {});
  sim::HttpServer& web = scene.a.server(5380);
  web.set("/", {});
  SUBCASE("all of that") {
    web.set("/hello", {.body = "<title>Outrider</title>"});
    scene.start();
    scene.world.advance(5s);
    CHECK(scene.screen->places().bridge == "http://hello.localhost:5380/");
    CHECK(scene.screen->places().page == "http://127.0.0.1:5380/hello");
  }
  SUBCASE("the API has a route of that name") {
    web.set("/hello", {.body = "no page"});
    web.set("/", {.body = "<title>Outrider</title>"});
    scene.start();
    scene.world.advance(5s);
    CHECK(scene.screen->places().bridge == "http://hello.localhost:5380/");
    CHECK(scene.screen->places().page == "http://127.0.0.1:5380/?service=hello");
  }
  SUBCASE("another program has the port") {
    web.set("/hello", {.body = "<title>Not it</title>"});
    scene.start();
    scene.world.advance(8s);
    CHECK(scene.text.find("5380") == std::string::npos);
  }
  SUBCASE("the bridge refuses, a few times") {
    web.set("/hello", {.body = "<title>Outrider</title>"});
    web.set("/", {.headers = {std::string("Content-Security-Policy: ") + bridge::kRefusalPolicy}});
    scene.start();
    scene.world.advance(8s);
    CHECK(scene.screen->places().bridge.empty());
    CHECK(scene.screen->places().page == "http://127.0.0.1:5380/hello");
    std::size_t asked = 0;
    for (const std::string& request : web.requests())
      if (request.find("hello.localhost:5380") != std::string::npos) ++asked;
    CHECK(asked == kBridgeAttempts);
  }
}

TEST_CASE("the name is shown where this host's resolver finds the program by it") {
  Scene scene;
  scene.a.server(80).set("/health", {});
  SUBCASE("at one of its addresses") {
    scene.found = {*IpAddress::parse("fd00::1"), *IpAddress::parse("10.0.0.1")};
    scene.start();
    scene.world.advance(5s);
    CHECK(scene.screen->places().name == "http://hello.svc:80/");
    CHECK(scene.text.find("outrider doctor") == std::string::npos);
  }
  SUBCASE("not at that of a network that has one for every name") {
    scene.found = {*IpAddress::parse("10.0.0.99")};
    scene.start();
    scene.world.advance(8s);
    CHECK(scene.screen->places().name.empty());
    CHECK(scene.text.find("outrider doctor") != std::string::npos);
  }
}

TEST_CASE("while a program starts, the screen says what it waits for, more and more rarely") {
  Scene scene;
  scene.a.server(80).set_listening(false);
  scene.start();
  scene.world.advance(1900ms);
  CHECK(scene.text.empty());
  scene.world.advance(60s);
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = scene.text.find("starting for", at)) != std::string::npos; ++at)
    ++lines;
  CHECK(lines == 5);  // after 2, 4, 8, 16 and 32 s
  CHECK(scene.text.find("refused") != std::string::npos);
}

TEST_CASE("a program that listens on another port: the block says so") {
  Scene scene;
  scene.a.server(80).set_listening(false);
  scene.a.listeners = std::vector<Endpoint>{*Endpoint::parse("0.0.0.0:3000")};
  scene.a.program_ports = {3000};
  scene.start();
  scene.world.advance(5s);
  CHECK(scene.text.find("3000") != std::string::npos);
  CHECK(scene.text.find("--port 3000") != std::string::npos);
}

TEST_CASE("each later change of health is one line, with the reason of `why`") {
  Scene scene;
  scene.start_passing();
  scene.a.server(80).set("/health", {.status = 503, .body = "db down"});
  scene.world.advance(5s);
  CHECK(scene.text.find("hello  critical since ") != std::string::npos);
  CHECK(scene.text.find("HTTP 503: db down") != std::string::npos);
  CHECK(scene.text.find("critical for") == std::string::npos);  // the time is there
  scene.text.clear();
  scene.a.server(80).set("/health", {});
  scene.world.advance(5s);
  CHECK(scene.text.find("hello  passing since ") != std::string::npos);
}

TEST_CASE("the block says how to see the keys where there is a keyboard") {
  for (const bool has_keys : {true, false}) {
    Scene scene;
    scene.a.server(80).set("/health", {});
    scene.has_keys = has_keys;
    scene.start();
    scene.world.advance(5s);
    CHECK((scene.text.find("  h, then Enter: keys") != std::string::npos) == has_keys);
  }
}

TEST_CASE("keys show the reasons, and drain and undrain") {
  Scene scene;
  scene.start_passing();
  scene.screen->on_key('w');
  CHECK(scene.text.find("hello.svc answers with 1 of 1 known instance.") != std::string::npos);
  CHECK(scene.text.find("in the answer: passing for") != std::string::npos);
  scene.screen->on_key('d');
  CHECK(scene.a.agent().registry().find_own("h")->draining);
  scene.screen->on_key('d');
  CHECK_FALSE(scene.a.agent().registry().find_own("h")->draining);
  for (const char other : {'h', 'x'}) {
    scene.text.clear();
    scene.screen->on_key(other);
    CHECK(scene.text.find("a letter, then Enter: w why") != std::string::npos);
  }
}

TEST_CASE("without a terminal, one line says where the program is reached") {
  Scene scene;
  scene.a.server(80).set("/health", {});
  scene.start(Screen::Face::plain);
  scene.world.advance(20s);
  CHECK(scene.text.starts_with("outrider: hello is passing at http://127.0.0.1:80/"));
  CHECK(scene.text.find('\n') + 1 == scene.text.size());
}

TEST_CASE("a program that speaks no HTTP has no URL") {
  Scene scene;
  scene.a.server(80).set("/", {.raw = "-ERR what?\r\n"});
  scene.start(Screen::Face::terminal,
              R"({"services": [{"name": "hello", "id": "h", "port": 80,
                                "checks": [{"tcp": "auto", "interval": "1s"}]}]})");
  scene.world.advance(8s);
  CHECK(scene.screen->places().here == "127.0.0.1:80");
  CHECK(scene.screen->places().bridge.empty());
  CHECK(scene.text.find("http://127.0.0.1:80") == std::string::npos);
}

TEST_CASE("a service that speaks TLS has https addresses, and the bridge for TLS") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  a.server(8443).set("/", {.status = 400});
  TrialPlan plan{
      .label = "shop", .dns_name = "shop.svc", .here = *Endpoint::parse("10.0.0.1:8443")};
  plan.lan = plan.here;
  plan.speaks_tls = true;
  plan.web_tls = *Endpoint::parse("127.0.0.1:5443");
  Places found;
  const auto attempt = [&] {
    const Trial trial(a.host().env(), plan, {}, [&](Places places) { found = std::move(places); });
    world.advance(kTrialTime);
  };
  SUBCASE("that listens") {
    a.server(5443).set("/", {.raw = "\x15\x03\x01"});
    attempt();
    CHECK(found.bridge == "https://shop.localhost:5443/");
  }
  SUBCASE("that does not listen") {
    attempt();
    CHECK(found.bridge.empty());
  }
  CHECK(found.here == "https://10.0.0.1:8443/");
  CHECK(found.lan == "https://10.0.0.1:8443/");
}

TEST_CASE("an instance of this host alone has no place on the LAN") {
  Scene scene;
  scene.a.server(80).set("/health", {});
  scene.start(Screen::Face::terminal,
              R"({"services": [{"name": "hello", "id": "h", "port": 80, "scope": "host",
                                "checks": [{"http": "/health", "interval": "1s"}]}]})");
  scene.world.advance(5s);
  CHECK(scene.screen->places().lan.empty());
  CHECK(scene.text.find("LAN    not reachable: --scope host") != std::string::npos);
}

TEST_CASE("a needed service is found with its address, and missed with the words of `why`") {
  Scene scene;
  scene.a.server(80).set("/health", {});
  scene.start();
  const auto look = [&](const std::vector<std::string>& names) {
    return look_for_needs(doors::view_of(scene.a.agent()), names);
  };
  NeedsNow now = look({"hello", "db"});
  REQUIRE(now.missing.size() == 2);
  CHECK(now.missing[0].known);
  CHECK(now.missing[0].why.find("no check has passed yet") != std::string::npos);
  CHECK_FALSE(now.missing[1].known);
  CHECK(now.missing[1].why.find("Nothing is known of db") != std::string::npos);
  scene.world.advance(5s);
  now = look({"hello", "hello.svc"});
  CHECK(now.missing.empty());
  CHECK(variables_of(now.found) ==
        std::vector<std::string>{"HELLO_HOST=10.0.0.1", "HELLO_PORT=80",
                                 "HELLO_URL=http://10.0.0.1:80", "HELLO_SVC_HOST=10.0.0.1",
                                 "HELLO_SVC_PORT=80", "HELLO_SVC_URL=http://10.0.0.1:80"});
}

}  // namespace
}  // namespace outrider::cli::beside
