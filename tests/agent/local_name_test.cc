// SPDX-License-Identifier: Apache-2.0
// `NAME.local` of whole agents: with health, over DNS, in what doors tell, and on two hosts at
// once.
#include <doctest/doctest.h>

#include "agent/doors/findings.h"
#include "agent/doors/instance_json.h"
#include "base/text.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr const char* kHello =
    R"({"services": [{"name": "hello", "id": "h", "port": 80, "local_name": true,
        "checks": [{"http": "/health", "interval": "1s", "failures_before_critical": 1}]}]})";

struct Scene {
  sim::World world{3};
  Machine a{world, "a", "10.0.0.1/24"};
  Machine b{world, "b", "10.0.0.2/24"};
  void start(Machine& machine) {
    machine.server(80).set("/health", {});
    REQUIRE(machine.start(kHello).empty());
    world.advance(6s);
  }
  void fail(Machine& machine, int status) {
    machine.server(80).set("/health", {.status = status});
    world.advance(6s);
  }
  static std::string name(Machine& machine) {
    return machine.agent().registry().find_own("h")->local_name->name;
  }
  ~Scene() {
    a.kill();
    b.kill();
  }
};

}  // namespace

TEST_CASE("a service has its name while it is healthy, everywhere on the link") {
  Scene scene;
  scene.start(scene.a);
  REQUIRE(scene.b.start("{}").empty());
  scene.world.advance(2s);
  const auto at = [&](Machine& machine) {
    return machine.ask("hello.local", dns::RrType::a).text();
  };
  CHECK(Scene::name(scene.a) == "hello.local");
  CHECK(at(scene.a) == "NOERROR 10.0.0.1");
  CHECK(at(scene.b) == "NOERROR 10.0.0.1");
  CHECK(scene.a.ask("hello.local", dns::RrType::aaaa).text() == "NODATA");

  scene.fail(scene.a, 503);
  CHECK(Scene::name(scene.a).empty());
  CHECK(at(scene.a) == "NXDOMAIN");
  CHECK(at(scene.b) == "NXDOMAIN");
  scene.fail(scene.a, 200);
  CHECK(Scene::name(scene.a) == "hello.local");
  CHECK(at(scene.b) == "NOERROR 10.0.0.1");

  scene.a.stop();
  scene.world.advance(2s);
  CHECK(at(scene.b) == "NXDOMAIN");
}

TEST_CASE(
    "what doors tell of an instance has the name that was claimed, and why finds it by that") {
  Scene scene;
  scene.start(scene.a);
  scene.start(scene.b);
  CHECK(Scene::name(scene.b) == "hello-2.local");
  const auto json_of = [](Machine& machine) {
    std::string text;
    json::Writer out(text);
    doors::write_instance(out, *machine.agent().registry().find_own("h"), machine.agent().host());
    return text;
  };
  CHECK(json_of(scene.a).find(R"("local_name":"hello.local")") != std::string::npos);
  CHECK(json_of(scene.b).find(R"("local_name":"hello-2.local")") != std::string::npos);
  const auto found = doors::look_for(doors::view_of(scene.b.agent()), "HELLO-2.local.");
  REQUIRE(found.meant.size() == 1);
  CHECK(found.meant[0]->id.text() == "h");
  scene.fail(scene.b, 503);
  CHECK(json_of(scene.b).find("local_name") == std::string::npos);
}

TEST_CASE("two hosts with one service do not take the name from each other") {
  Scene scene;
  scene.start(scene.a);
  scene.start(scene.b);
  CHECK(Scene::name(scene.a) == "hello.local");
  CHECK(Scene::name(scene.b) == "hello-2.local");
  for (int i = 0; i < 3; ++i) {
    scene.fail(scene.a, 503);
    CHECK(Scene::name(scene.b) == "hello-2.local");
    scene.fail(scene.b, 503);
    scene.fail(scene.b, 200);
    CHECK(Scene::name(scene.b) == "hello-2.local");  // although the first is free
    scene.fail(scene.a, 200);
    CHECK(Scene::name(scene.a) == "hello.local");
  }
}

TEST_CASE("a service that is called like its machine does not take the machine's name") {
  Scene scene;
  scene.a.host_name = "hello";
  scene.start(scene.a);
  CHECK(Scene::name(scene.a) == "hello-2.local");
}

TEST_CASE("a reload turns the name on and off") {
  Scene scene;
  scene.start(scene.a);
  const std::string off = replace_all(kHello, R"("local_name": true,)", "");
  REQUIRE(scene.a.reload(off).empty());
  scene.world.advance(3s);
  CHECK(Scene::name(scene.a).empty());
  CHECK(scene.a.ask("hello.local", dns::RrType::a).text() == "NXDOMAIN");
  REQUIRE(scene.a.reload(kHello).empty());
  scene.world.advance(3s);
  CHECK(Scene::name(scene.a) == "hello.local");
}

}  // namespace outrider::test
