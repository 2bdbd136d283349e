// SPDX-License-Identifier: Apache-2.0
#include "agent/checks.h"

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

TEST_CASE("an alias of no instance says for whom it waits") {
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

TEST_CASE("an alias finds an automatic id in the form that the first version chose") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  REQUIRE(a.start(R"({"services": [{"name": "web", "id": "w", "checks": [{"alias": "job-a"}]}]})")
              .empty());
  REQUIRE(a.agent().put(
      *registry::ServiceSpec::parse(*json::parse(R"({"name": "job"})", json::kConfigBytesMax))));
  const auto check = [&] { return a.agent().registry().find_own("w")->checks[0]; };
  CHECK(check().health == CheckHealth::passing);
  REQUIRE(a.agent().remove("job-a"));
  CHECK(check().health == CheckHealth::critical);
}

struct Reports final : Checks::Sink {
  std::vector<std::string> list;
  void on_check(const CheckKey& check, CheckHealth health, const std::string& output) override {
    list.push_back(check.instance + '/' + check.check + ' ' + to_string(health) + ' ' + output);
  }
  void on_refused(const CheckKey&) override {}
  void on_passed(const CheckKey&) override {}
};

TEST_CASE("each heartbeat is reported once, and so is its end") {
  sim::World world;
  Reports reports;
  Checks checks(world.env(), reports);
  registry::Registry registry("a", 1);
  const auto put = registry.put(
      *registry::ServiceSpec::parse(*json::parse(
          R"({"name": "web", "id": "w", "checks": [{"ttl": "20s"}]})", json::kConfigBytesMax)),
      {});
  REQUIRE(put);
  checks.apply(nullptr, registry.find_own("w"));
  const CheckKey key{"w", "ttl"};
  CHECK(checks.renew(key, CheckHealth::passing, "first"));
  CHECK(checks.renew(key, CheckHealth::passing, "second"));
  CHECK(checks.renew(key, CheckHealth::critical, "broken"));
  CHECK(checks.renew(key, CheckHealth::critical, "broken still"));
  world.advance(1min);
  CHECK_FALSE(checks.renew({"w", "http"}, CheckHealth::passing, {}));
  CHECK(reports.list == std::vector<std::string>{
                            "w/ttl passing first", "w/ttl passing second", "w/ttl critical broken",
                            "w/ttl critical broken still", "w/ttl critical no heartbeat for 20s"});
}

}  // namespace
}  // namespace outrider::test
