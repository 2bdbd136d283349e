// SPDX-License-Identifier: Apache-2.0
// Leases of Eureka's clients in a whole agent: what time, DNS and a restart make of them.
#include <doctest/doctest.h>

#include "agent/doors/api.h"
#include "tests/agent/machine.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

constexpr const char* kQuiet = R"({"mdns": {"provider": "off"}})";
constexpr const char* kWeb = "/eureka/apps/WEB/web-1";

/// A machine whose agent serves the API, and can be killed and started again.
struct Desk {
  sim::World world;
  sim::StateDisk disk;
  Machine a{world, "here", "10.0.0.1/24"};
  std::optional<doors::Api> api;
  std::optional<http::Server> server;

  Desk() {
    a.disk = &disk;
    start();
  }
  ~Desk() { close(); }
  void start() {
    REQUIRE(a.start(kQuiet).empty());
    world.advance(10ms);
    api.emplace(a.host().env(), a.agent(), doors::ApiOptions{.eureka = true});
    a.agent().watch([this](const registry::Changes& changes) { api->on_changes(changes); });
    http::ServerOptions on;
    on.on = kSocket;
    server.emplace(a.host().env(), on, *api);
    REQUIRE(server->start());
  }
  void close() {
    server.reset();
    a.kill();
    api.reset();
    world.settle();
  }
  void restart() {
    close();
    start();
  }
  std::string ask(std::string_view method, std::string_view target, std::string_view body = {}) {
    Client client(world);
    std::string answer = client.ask(http::write_request(method, target, "agent", {}, body, true));
    for (int turn = 0; turn < 100 && answer.empty(); ++turn) {  // it waits for the disk
      world.advance(1ms);
      answer = client.take();
    }
    return answer;
  }
  std::string status(std::string_view method, std::string_view target, std::string_view body = {}) {
    return status_of(ask(method, target, body));
  }
  void enrol(std::string_view status_text = "UP", const char* id = "web-1", int port = 8080) {
    const std::string body =
        R"({"instance":{"app":"web","hostName":"h","ipAddr":"10.0.0.1","instanceId":")" +
        std::string(id) + R"(","port":{"$":)" + std::to_string(port) +
        R"(,"@enabled":true},"dataCenterInfo":{"name":"MyOwn"},"leaseInfo":{"durationInSecs":90},)"
        R"("status":")" +
        std::string(status_text) + R"("}})";
    REQUIRE(status("POST", "/eureka/apps/web", body) == "204");
  }
  /// "UP", "DOWN", …; "gone" if it is not listed.
  std::string shown(const char* target = kWeb) {
    const std::string text = body_of(ask("GET", target));
    const std::string key = "\"status\":\"";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) return "gone";
    return text.substr(at + key.size(), text.find('"', at + key.size()) - at - key.size());
  }
  std::string dns() { return a.ask("web.svc", dns::RrType::a).text(); }
};

TEST_CASE("a lease that is not renewed ends after its duration: gone from DNS and from the lists") {
  Desk desk;
  desk.enrol();
  CHECK(desk.dns() == "NOERROR 10.0.0.1");
  for (int beat = 0; beat < 10; ++beat) {
    desk.world.advance(30s);
    REQUIRE(desk.status("PUT", kWeb) == "200");
  }
  CHECK(desk.dns() == "NOERROR 10.0.0.1");
  desk.world.advance(89s);
  CHECK(desk.shown() == "UP");
  desk.world.advance(1s);
  CHECK(desk.dns() == "NODATA");
  desk.world.advance(2s);
  CHECK(desk.shown() == "gone");
  const std::string delta = desk.ask("GET", "/eureka/apps/delta");
  CHECK(delta.find("\"actionType\":\"DELETED\"") != std::string::npos);
  CHECK(delta.find("\"apps__hashcode\":\"\"") != std::string::npos);
  // A program that was only asleep comes back with its next renewal.
  REQUIRE(desk.status("PUT", kWeb) == "200");
  CHECK(desk.shown() == "UP");
  CHECK(desk.dns() == "NOERROR 10.0.0.1");
}

TEST_CASE("a program that says that it is down stays listed while it renews, and no longer") {
  Desk desk;
  desk.enrol("DOWN");
  for (int beat = 0; beat < 20; ++beat) {
    desk.world.advance(30s);
    REQUIRE(desk.status("PUT", std::string(kWeb) + "?status=DOWN") == "200");
    REQUIRE(desk.shown() == "DOWN");
  }
  CHECK(desk.dns() == "NODATA");
  desk.world.advance(92s);
  CHECK(desk.shown() == "gone");
}

TEST_CASE("an override does not keep a lease that ended") {
  Desk desk;
  desk.enrol();
  REQUIRE(desk.status("PUT", std::string(kWeb) + "/status?value=OUT_OF_SERVICE") == "200");
  desk.world.advance(80s);
  CHECK(desk.shown() == "OUT_OF_SERVICE");
  desk.world.advance(12s);
  CHECK(desk.shown() == "gone");
  REQUIRE(desk.status("PUT", kWeb) == "200");
  CHECK(desk.shown() == "OUT_OF_SERVICE");
}

TEST_CASE("what was evicted stays so over a restart of the agent, and comes back as before it") {
  Desk desk;
  desk.enrol();
  desk.world.advance(92s);
  REQUIRE(desk.shown() == "gone");
  desk.restart();
  CHECK(desk.shown() == "gone");
  desk.restart();
  CHECK(desk.shown() == "gone");
  REQUIRE(desk.status("PUT", kWeb) == "200");
  CHECK(desk.shown() == "UP");
  desk.restart();
  CHECK(desk.shown() == "UP");
}

TEST_CASE("two checks of one lease are one heartbeat: none seems to be lost") {
  Desk desk;
  desk.enrol();
  for (int beat = 0; beat < 20; ++beat) {
    desk.world.advance(30s);
    REQUIRE(desk.status("PUT", kWeb) == "200");
  }
  const std::string status = desk.ask("GET", "/v1/outrider/status");
  CHECK(status.find("\"lost_percent\":0") != std::string::npos);
}

TEST_CASE(
    "a restart of the agent keeps leases, statuses and overrides, and the time that is left") {
  Desk desk;
  desk.enrol();
  desk.enrol("STARTING", "web-2", 8081);
  desk.enrol("UP", "web-3", 8082);
  REQUIRE(desk.status("PUT", "/eureka/apps/WEB/web-3/status?value=OUT_OF_SERVICE") == "200");
  desk.world.advance(40s);
  desk.restart();
  CHECK(desk.shown() == "UP");
  CHECK(desk.shown("/eureka/apps/WEB/web-2") == "STARTING");
  CHECK(desk.shown("/eureka/apps/WEB/web-3") == "OUT_OF_SERVICE");
  CHECK(desk.dns() == "NOERROR 10.0.0.1");
  REQUIRE(desk.status("PUT", "/eureka/apps/WEB/web-2") == "200");
  desk.world.advance(49s);
  CHECK(desk.dns() == "NOERROR 10.0.0.1");
  desk.world.advance(2s);
  CHECK(desk.dns() == "NODATA");
  CHECK(desk.shown("/eureka/apps/WEB/web-2") == "STARTING");
}

TEST_CASE("what came through Eureka's door is drained and explained as any other") {
  Desk desk;
  desk.enrol();
  REQUIRE(desk.status("PUT", "/v1/outrider/drain/web-1") == "200");
  CHECK(desk.shown() == "OUT_OF_SERVICE");
  CHECK(desk.dns() == "NODATA");
  REQUIRE(desk.status("PUT", kWeb) == "200");
  CHECK(desk.shown() == "OUT_OF_SERVICE");
  CHECK(desk.ask("GET", "/v1/outrider/why/web").find("\"door\":\"eureka\"") != std::string::npos);
}

}  // namespace
}  // namespace outrider::test
