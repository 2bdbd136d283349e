// SPDX-License-Identifier: Apache-2.0
// What a client registers reaches other hosts whole, or the client gets an error.
#include <doctest/doctest.h>

#include "tests/agent/machine.h"

using namespace outrider;
using namespace outrider::test;

namespace {

registry::ServiceSpec web(registry::Metadata metadata, std::vector<std::string> tags) {
  auto spec = *registry::ServiceSpec::parse(
      *json::parse(R"({"name":"web","id":"web-1","port":80,"weight":7})", 4'096));
  spec.metadata = std::move(metadata);
  spec.tags = std::move(tags);
  return spec;
}

}  // namespace

TEST_CASE("metadata and tags on another host are those that were registered") {
  sim::World world(1);
  Machine a(world, "a", "10.0.0.1/24"), b(world, "b", "10.0.0.2/24");
  REQUIRE(a.start("{}").empty());
  REQUIRE(b.start("{}").empty());
  world.advance(5s);
  const registry::Metadata metadata = {
      {"weight", "20"}, {"id", "mine"}, {"farp.enabled", "no"},         {"bad key", "x"},
      {"Key", "1"},     {"key", "2"},   {"long", std::string(512, 'v')}};
  const std::vector<std::string> tags = {"v1", "a,b", ""};
  REQUIRE(a.agent().put(web(metadata, tags)).has_value());
  world.advance(5s);
  const auto seen = b.agent().registry().instances("web");
  REQUIRE(seen.size() == 1);
  CHECK(seen[0]->metadata == metadata);
  CHECK(seen[0]->tags == tags);
  CHECK(seen[0]->weight == 7);
}

TEST_CASE("a client hears of metadata that would not reach other hosts") {
  sim::World world(1);
  Machine a(world, "a", "10.0.0.1/24");
  REQUIRE(a.start("{}").empty());
  registry::Metadata metadata;
  for (int i = 0; i < 40; ++i)
    metadata["key-" + std::to_string(i)] = std::string(100, 'x');
  registry::ServiceSpec spec = web(metadata, {});
  const auto refused = a.agent().put(spec);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == registry::RegistryError::too_large);
  CHECK(a.agent().registry().own().empty());
  // Other hosts are not to see it, so nothing is lost on the way.
  spec.scope = registry::Scope::host;
  CHECK(a.agent().put(spec).has_value());
  Machine alone(world, "c", "10.0.0.3/24");
  REQUIRE(alone.start(R"({"mdns":{"provider":"off"}})").empty());
  spec.scope = registry::Scope::automatic;
  CHECK(alone.agent().put(spec).has_value());
}
