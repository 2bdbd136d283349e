// SPDX-License-Identifier: Apache-2.0
#include "agent/farp_service.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;

namespace {

struct Scene {
  sim::World world{1};
  FarpConfig config{.listen = {}, .on = false, .gateways = {}};
  registry::Registry registry{"box"};
  FarpService farp{world.env(), config, registry};

  registry::Moment now() { return {world.now(), {}}; }
  bool apply(const Result<registry::Changes, registry::RegistryError>& changes) {
    REQUIRE(changes);
    return farp.apply(*changes);
  }
  bool put(const std::string& service, const std::string& id, const std::string& more = "") {
    const auto tree = json::parse(
        R"({"name":")" + service + R"(","id":")" + id + R"(","port":80,"farp":{})" + more + '}',
        1'000);
    return apply(registry.put(*registry::ServiceSpec::parse(*tree), now()));
  }
};

constexpr const char* kBeat = R"(,"checks":[{"ttl":"1h","id":"beat"}])";

}  // namespace

TEST_CASE("a dropped registration keeps its FARP paths until it is removed") {
  Scene scene;
  CHECK_FALSE(scene.put("one", "a", kBeat));
  CHECK(scene.put("two", "b"));
  CHECK(scene.farp.several());
  (void)scene.registry.set_check("a", "beat", CheckHealth::critical, "", scene.now());
  CHECK_FALSE(scene.apply(scene.registry.drop("a", scene.now())));
  CHECK(scene.registry.find_own("a")->dropped);
  CHECK(scene.farp.several());
  CHECK(scene.apply(scene.registry.remove("a", scene.now())));
  CHECK_FALSE(scene.farp.several());
}

TEST_CASE("an id that moves to another service stays one FARP registration") {
  Scene scene;
  CHECK_FALSE(scene.put("one", "a"));
  CHECK_FALSE(scene.put("two", "a"));
  CHECK_FALSE(scene.farp.several());
  CHECK(scene.put("one", "b"));
}
