// SPDX-License-Identifier: Apache-2.0
#include "agent/evictor.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::test {
namespace {

/// How many heartbeats seem to be lost when a registration with these checks renews after 2 and
/// then after 8 seconds.
std::string lost_percent(const std::string& checks) {
  sim::World world;
  registry::Registry registry("box");
  Evictor evictor(world.env(), registry, [](registry::Changes) {});
  const auto spec = registry::ServiceSpec::parse(
      *json::parse(R"({"name":"web","id":"w","checks":[)" + checks + "]}", 4'096));
  REQUIRE(spec);
  const auto put = registry.put(*spec, {world.now(), world.wall()});
  REQUIRE(put);
  evictor.apply(put->list[0]);
  for (const Duration gap : {2s, 8s}) {
    world.advance(gap);
    evictor.on_heartbeat("w");
  }
  std::string text;
  json::Writer out(text);
  out.begin_object();
  evictor.write_status(out);
  out.end_object();
  const std::string key = "\"lost_percent\":";
  const std::size_t at = text.find(key) + key.size();
  return text.substr(at, text.find(',', at) - at);
}

TEST_CASE("of several heartbeats the slowest is expected, in whatever order they are listed") {
  const std::string fast = R"({"id":"fast","ttl":"6s"})", slow = R"({"id":"slow","ttl":"60s"})";
  REQUIRE(lost_percent(fast) != "0");
  REQUIRE(lost_percent(slow) == "0");
  CHECK(lost_percent(fast + ',' + slow) == "0");
  CHECK(lost_percent(slow + ',' + fast) == "0");
}

}  // namespace
}  // namespace outrider::test
