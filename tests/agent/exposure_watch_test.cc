// SPDX-License-Identifier: Apache-2.0
#include "agent/exposure_watch.h"

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

using dns::RrType;

std::vector<Endpoint> only(const char* text) {
  return {*Endpoint::parse(text)};
}

/// A service of host a, and host b on the same link.
struct Scene {
  sim::World world;
  Machine a{world, "a", "10.0.0.1/24"};
  Machine b{world, "b", "10.0.0.2/24"};

  explicit Scene(const std::string& service) {
    a.server(80).set("/h", {});
    a.listeners = only("127.0.0.1:80");
    REQUIRE(b.start("{}").empty());
    REQUIRE(a.start(R"({"services": [)" + service + "]}").empty());
    world.advance(5s);
  }
  std::string at_a() { return a.ask("web.svc", RrType::a).text(); }
  std::string at_b() { return b.ask("web.svc", RrType::a).text(); }
};

constexpr const char* kChecked =
    R"({"name": "web", "id": "w", "port": 80, "checks": [{"http": "/h", "interval": "1s"}]})";

TEST_CASE("a program on loopback only is served on its host and announced nowhere else") {
  Scene scene(kChecked);
  CHECK(scene.at_a() == "NOERROR 127.0.0.1");
  CHECK(scene.at_b() == "NXDOMAIN");
  CHECK(scene.a.host().log().count("exposure_limited") == 1);
  CHECK(scene.a.agent().registry().find_own("w")->scope == registry::Scope::host);
}

TEST_CASE("it is announced when it listens on all addresses, also if no verdict changed") {
  Scene scene(kChecked);
  scene.a.listeners = only("0.0.0.0:80");
  scene.world.advance(5s);
  CHECK(scene.at_a() == "NOERROR 10.0.0.1");
  CHECK(scene.at_b() == "NOERROR 10.0.0.1");
  CHECK(scene.a.host().log().count("exposure_restored") == 1);
}

TEST_CASE("a program that comes back on loopback only is no longer announced") {
  Scene scene(kChecked);
  scene.a.listeners = only("[::]:80");
  scene.world.advance(5s);
  CHECK(scene.at_b() == "NOERROR 10.0.0.1");
  scene.a.server(80).set_listening(false);
  scene.world.advance(10s);
  scene.a.listeners = only("127.0.0.1:80");
  scene.a.server(80).set_listening(true);
  scene.world.advance(10s);
  CHECK(scene.at_a() == "NOERROR 127.0.0.1");
  CHECK(scene.at_b() == "NODATA");
}

TEST_CASE("a registration without checks is looked at when it is made") {
  Scene scene(R"({"name": "web", "id": "w", "port": 80})");
  CHECK(scene.at_a() == "NOERROR 127.0.0.1");
  CHECK(scene.at_b() == "NXDOMAIN");
}

TEST_CASE("addresses of its own and scope lan stand as configured") {
  Scene own(R"({"name": "web", "id": "w", "port": 80, "address": "10.0.0.1"})");
  CHECK(own.at_b() == "NOERROR 10.0.0.1");
  Scene lan(R"({"name": "web", "id": "w", "port": 80, "scope": "lan"})");
  CHECK(lan.at_b() == "NOERROR 10.0.0.1");
  CHECK(lan.a.host().log().count("exposure_limited") == 1);
}

TEST_CASE("a program that listens on another address is named, and no longer when it is right") {
  Scene scene(kChecked);
  scene.a.server(80).set_listening(false);
  scene.a.listeners = only("[::1]:80");
  scene.world.advance(10s);
  const auto limit = [&] { return scene.a.agent().registry().find_own("w")->exposure->limit; };
  CHECK(limit() == "nothing listens on 127.0.0.1:80; the program listens on [::1]:80 only");
  scene.a.server(80).set_listening(true);
  scene.a.listeners = only("0.0.0.0:80");
  scene.world.advance(10s);
  CHECK(limit().empty());
}

TEST_CASE("every registration whose port is closed gets the hint, for one question to the kernel") {
  sim::World world;
  int questions = 0;
  ExposureWatch watch(world.env(), {[] { return only("0.0.0.0:3000"); },
                                    [&] {
                                      ++questions;
                                      return std::vector<std::uint16_t>{3000};
                                    }});
  const auto hint = [&](const char* text) {
    registry::Registry registry("box");
    const auto spec = registry::ServiceSpec::parse(*json::parse(text, 4'096));
    REQUIRE(spec);
    const auto exposure = watch.on_refused(*registry.put(*spec, {world.now(), {}})->list[0].after);
    return exposure ? exposure->limit : std::string();
  };
  const char* const kFirst = R"({"name":"a","id":"a","port":80,"checks":[{"http":"/"}]})";
  const char* const kSecond = R"({"name":"b","id":"b","port":81,"checks":[{"http":"/"}]})";
  CHECK(hint(kFirst) == "nothing listens on port 80; the program listens on 3000");
  CHECK(hint(kSecond) == "nothing listens on port 81; the program listens on 3000");
  CHECK(questions == 1);
  world.advance(kProgramPortsPace);
  CHECK(hint(kSecond) == "nothing listens on port 81; the program listens on 3000");
  CHECK(questions == 2);
}

TEST_CASE("a program that listens on another port is named, and no longer when it is right") {
  Scene scene(kChecked);
  scene.a.server(80).set_listening(false);
  scene.a.listeners = only("0.0.0.0:3000");
  scene.a.program_ports = {3000};
  scene.world.advance(10s);
  const auto limit = [&] { return scene.a.agent().registry().find_own("w")->exposure->limit; };
  CHECK(limit() == "nothing listens on port 80; the program listens on 3000");
  scene.a.server(80).set_listening(true);
  scene.a.listeners = only("0.0.0.0:80");
  scene.world.advance(10s);
  CHECK(limit().empty());
}

}  // namespace
}  // namespace outrider::test
