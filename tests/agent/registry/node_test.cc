// SPDX-License-Identifier: Apache-2.0
// Checks and maintenance of the host as a whole.
#include <doctest/doctest.h>

#include "agent/registry/registry.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

const char* const kWeb =
    R"({"name":"web","id":"w","port":80,"checks":[{"ttl":"9s","initial":"passing"}]})";
const char* const kBare = R"({"name":"bare","id":"b","port":81})";

CheckSpec check(const std::string& text) {
  return *ServiceSpec::parse_check(tree(text));
}
Health health(const Registry& registry, const char* id) {
  return registry.find_own(id)->health;
}

TEST_CASE("maintenance of the host takes out what is registered, before and after, and back") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  const auto on = registry.set_maintenance(kNodeId, true, "kernel", at(1s));
  REQUIRE(on);
  REQUIRE(on->node);
  CHECK_FALSE(on->node_before->maintenance);
  CHECK(on->node->maintenance_reason == "kernel");
  REQUIRE(on->list.size() == 1);
  CHECK(on->list[0].after->health == Health::maintenance);
  CHECK_FALSE(on->list[0].after->maintenance);  // its own is another matter
  CHECK(registry.why("web") == "1 known, 0 passing; w: maintenance");
  CHECK(registry.note("web").starts_with("w maintenance with its host at"));
  REQUIRE(registry.put(spec(kBare), at(2s)));
  CHECK(health(registry, "b") == Health::maintenance);
  CHECK(registry.set_maintenance(kNodeId, true, "kernel", at(3s))->empty());
  REQUIRE(registry.set_maintenance("w", true, "own", at(4s)));
  const auto off = registry.set_maintenance(kNodeId, false, {}, at(5s));
  REQUIRE(off);
  CHECK(off->list.size() == 1);
  CHECK(health(registry, "b") == Health::passing);
  CHECK(health(registry, "w") == Health::maintenance);
}

TEST_CASE("no registration is healthier than its host, and none is dropped for it") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.put_check(kNodeId, check(R"({"id":"disk","ttl":"9s","initial":"critical"})"),
                             at(0s)));
  CHECK(health(registry, "w") == Health::critical);
  CHECK(registry.expire(at(1h)).empty());
  CHECK_FALSE(registry.find_own("w")->dropped);
  const auto warned = registry.set_check(kNodeId, "disk", CheckHealth::warning, "90 %", at(1h));
  REQUIRE(warned);
  CHECK(warned->list.size() == 1);
  CHECK(health(registry, "w") == Health::warning);
  const auto same = registry.set_check(kNodeId, "disk", CheckHealth::warning, "91 %", at(1h));
  CHECK(same->empty());
  CHECK(registry.find_own(kNodeId)->checks[0].output == "91 %");
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::critical, "", at(1h)));
  CHECK(health(registry, "w") == Health::critical);
  CHECK(registry.with_check("disk", 2) == std::vector<std::string>{std::string(kNodeId)});
  REQUIRE(registry.remove_check(kNodeId, "disk", at(1h)));
  CHECK(registry.with_check("disk", 2).empty());
  CHECK(health(registry, "w") == Health::critical);
}

TEST_CASE("the host is no service and no registration") {
  Registry registry("box");
  REQUIRE(registry.put_check(kNodeId, check(R"({"id":"disk","ttl":"9s"})"), at(0s)));
  CHECK(registry.own().empty());
  CHECK(registry.own_count() == 0);
  CHECK(registry.services().empty());
  CHECK_FALSE(registry.knows("node"));
  CHECK(registry.remove(kNodeId, at(0s)).error() == RegistryError::unknown_instance);
  CHECK(registry.drain_all(at(0s)).empty());
  for (std::size_t i = 1; i < kChecksPerInstanceMax; ++i)
    REQUIRE(registry.put_check(
        kNodeId, check(R"({"id":"c)" + std::to_string(i) + R"(","ttl":"9s"})"), at(0s)));
  CHECK(registry.put_check(kNodeId, check(R"({"id":"x","ttl":"9s"})"), at(0s)).error() ==
        RegistryError::too_many);
}

TEST_CASE("heartbeats keep their verdict when their TTL and their service's port change") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::warning, "slow", at(1s)));
  REQUIRE(registry.put(
      spec(R"({"name":"web","id":"w","port":8080,"checks":[{"ttl":"20s","initial":"critical"}]})"),
      at(2s)));
  CHECK(health(registry, "w") == Health::warning);
  CHECK(registry.find_own("w")->checks[0].output == "slow");
}

}  // namespace
}  // namespace outrider::registry
