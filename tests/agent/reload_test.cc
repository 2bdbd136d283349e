// SPDX-License-Identifier: Apache-2.0
// A new configuration, or a new registration under the same id, takes no healthy service out of
// service: what is checked otherwise starts from the verdict that stands.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

std::string web(const std::string& checks, const std::string& more = "") {
  return R"({"services": [{"name": "web", "id": "w", "port": 8080, )" + more + R"("checks": [)" +
         checks + R"(]}]})";
}
constexpr const char* kOld = R"({"http": "/old", "interval": "10s"})";

/// A web server and its agent, which passes; a second agent that watches over the LAN.
struct Pair {
  sim::World world;
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"};

  explicit Pair(const std::string& checks = kOld) {
    for (const char* path : {"/old", "/new"})
      a.server(8080).set(path, {});
    REQUIRE(a.start(web(checks)).empty());
    REQUIRE(b.start("{}").empty());
    world.advance(20s);
    REQUIRE(served(a));
    REQUIRE(served(b));
    a.agent().watch([this](const registry::Changes& changes) { note(changes); });
    b.agent().watch([this](const registry::Changes& changes) { note(changes); });
  }
  bool served(Machine& machine) {
    return machine.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1";
  }
  void note(const registry::Changes& changes) {
    for (const registry::Change& change : changes.list)
      gaps += !change.after || !change.after->served() ? 1 : 0;
  }
  const registry::CheckState& check(std::size_t number) {
    return a.agent().registry().find_own("w")->checks.at(number);
  }
  int gaps = 0;  // states in which the service was not served, at either agent
};

TEST_CASE("a registration that is dropped as critical is a warning with the reason, once") {
  Pair pair(R"({"http": "/old", "interval": "1s", "deregister_critical_after": "20s"})");
  const auto warnings = [](Machine& machine) {
    return std::ranges::count_if(machine.host().log().lines(), [](const std::string& line) {
      return line.find("to=deregistered") != std::string::npos &&
             line.find("critical for more than 20s, check http: ") != std::string::npos;
    });
  };
  pair.a.server(8080).set("/old", {.status = 503});
  pair.world.advance(2min);
  CHECK(warnings(pair.a) == 1);
  CHECK(warnings(pair.b) == 0);
  pair.a.server(8080).set("/old", {});
  pair.world.advance(2min);
  CHECK(pair.served(pair.a));
  CHECK(warnings(pair.a) == 1);
}

TEST_CASE("a reload that changes or adds checks leaves no gap, here and at a peer") {
  for (const char* checks : {
           R"({"http": "/new", "interval": "10s"})",
           R"({"http": "/old", "interval": "3s", "success_before_passing": 5})",
           R"({"http": "/old", "interval": "10s"}, {"http": "/new", "interval": "10s"})",
           R"({"http": "/old", "interval": "10s"}, {"tcp": "auto"})",
           R"({"id": "http", "tcp": "auto"})",
           R"({"tcp": "auto"})",
           R"({"http": "/old", "interval": "10s"}, {"ttl": "30s"})",
       }) {
    CAPTURE(checks);
    Pair pair;
    REQUIRE(pair.a.reload(web(checks)).empty());
    CHECK(pair.served(pair.a));
    pair.world.advance(20s);
    CHECK(pair.served(pair.a));
    CHECK(pair.served(pair.b));
    CHECK(pair.gaps == 0);
  }
}

TEST_CASE("a changed check that fails takes the service out after its own failures") {
  Pair pair;
  REQUIRE(pair.a.reload(web(R"({"http": "/missing", "interval": "10s"})")).empty());
  CHECK(pair.served(pair.a));
  pair.world.advance(20s);
  CHECK_FALSE(pair.served(pair.a));
  CHECK(pair.check(0).output == "HTTP 404: not found");
}

TEST_CASE("a check that was added says that it has not been probed yet") {
  Pair pair;
  REQUIRE(pair.a.reload(web(std::string(kOld) + R"(, {"http": "/new"})")).empty());
  CHECK(pair.check(1).health == CheckHealth::passing);
  CHECK(pair.check(1).output == "not probed yet");
  pair.world.advance(2s);
  CHECK(pair.check(1).output == "HTTP 200: ok");
}

TEST_CASE("at another port nothing is known yet") {
  Pair pair;
  const std::string moved =
      R"({"services": [{"name": "web", "id": "w", "port": 8081, "checks": [{"http": "/old"}]}]})";
  REQUIRE(pair.a.reload(moved).empty());
  CHECK(pair.check(0).health == CheckHealth::starting);
  CHECK_FALSE(pair.served(pair.a));
}

TEST_CASE("what is critical stays so until its changed check passes, and then recovers at once") {
  Pair pair;
  pair.a.server(8080).set("/old", {.status = 503});
  pair.world.advance(30s);
  REQUIRE(pair.check(0).health == CheckHealth::critical);
  const std::string checks = std::string(R"({"http": "/new"}, {"id": "more", "tcp": "auto"})");
  REQUIRE(pair.a.reload(web(checks)).empty());
  CHECK(pair.check(0).health == CheckHealth::critical);
  CHECK(pair.check(1).health == CheckHealth::starting);
  pair.world.advance(2s);
  CHECK(pair.check(0).health == CheckHealth::passing);
  CHECK(pair.served(pair.a));
}

TEST_CASE("a heartbeat whose TTL is changed stays passing, and gets the new TTL") {
  Pair pair;
  const auto put = [&](const char* ttl) {
    const std::string text = std::string(R"({"name": "job", "id": "j", "port": 9, "checks": [)") +
                             R"({"ttl": ")" + ttl + R"(", "initial": "critical"}]})";
    REQUIRE(
        pair.a.agent().put(*registry::ServiceSpec::parse(*json::parse(text, json::kBodyBytesMax))));
  };
  const auto health = [&] { return pair.a.agent().registry().find_own("j")->health; };
  put("20s");
  CHECK(health() == registry::Health::critical);
  REQUIRE(pair.a.agent().renew("j", "ttl", CheckHealth::passing, "here"));
  put("10s");
  CHECK(health() == registry::Health::passing);
  REQUIRE(pair.a.agent().put_check(
      "j", *registry::ServiceSpec::parse_check(*json::parse(R"({"ttl": "5s"})", 100))));
  CHECK(health() == registry::Health::passing);
  pair.world.advance(4s);
  CHECK(health() == registry::Health::passing);
  pair.world.advance(2s);
  CHECK(health() == registry::Health::critical);
}

TEST_CASE("two ids with one label that change places are both registered") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  const auto config = [](const char* first, const char* second) {
    return std::string(R"({"mdns": {"provider": "off"}, "services": [{"name": ")") + first +
           R"(", "id": "x-y", "port": 1}, {"name": ")" + second +
           R"(", "id": "x_y", "port": 2}, {"name": "rest", "id": "r", "port": 3}]})";
  };
  REQUIRE(a.start(config("web", "db")).empty());
  REQUIRE(a.agent().registry().own_count() == 3);
  REQUIRE(a.reload(config("db", "web")).empty());
  CHECK(a.refused_keys.empty());
  REQUIRE(a.agent().registry().own_count() == 3);
  CHECK(a.agent().registry().find_exact("x-y")->service.text() == "db");
  CHECK(a.agent().registry().find_exact("x_y")->service.text() == "web");
  CHECK(a.host().log().count("registration_refused") == 0);
}

TEST_CASE("a reload makes and removes registrations by their ids, not by short forms of them") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  const std::string rest = R"("mdns": {"provider": "off"}, "services": [)";
  const std::string named = R"({"name": "web", "id": "web-a-80", "port": 81})";
  REQUIRE(a.start('{' + rest + named + "]}").empty());
  const auto automatic =
      registry::ServiceSpec::parse(*json::parse(R"({"name": "web", "port": 80})", 4'096));
  const auto id = a.agent().put(*automatic);
  REQUIRE(id);
  REQUIRE(a.agent().remove("web-a-80"));
  REQUIRE(a.agent().registry().own_count() == 1);
  REQUIRE(a.reload('{' + rest + named + "]}").empty());
  CHECK(a.agent().registry().find_exact("web-a-80"));
  REQUIRE(a.agent().remove("web-a-80"));
  REQUIRE(a.reload('{' + rest + "]}").empty());
  CHECK(a.agent().registry().find_exact(*id));
}

}  // namespace
}  // namespace outrider::test
