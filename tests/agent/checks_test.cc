// SPDX-License-Identifier: Apache-2.0
#include "agent/checks.h"

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

TEST_CASE("an alias of nobody says for whom it waits") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  REQUIRE(a.start(R"({"services": [{"name": "web", "id": "w", "checks": [{"alias": "later"}]}]})")
              .empty());
  const auto output = [&] { return a.agent().registry().find_own("w")->checks[0].output; };
  CHECK(output() == "instance later is not registered here");
  REQUIRE(a.agent().put(*registry::ServiceSpec::parse(
      *json::parse(R"({"name": "job", "id": "later"})", json::kConfigBytesMax))));
  CHECK(output() == "instance later is passing");
}

}  // namespace
}  // namespace outrider::test
