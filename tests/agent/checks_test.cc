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

TEST_CASE("the agent shows what the last probes saw, and probes on request") {
  sim::World world;
  Machine a(world, "a", "10.0.0.1/24");
  REQUIRE(a.start(R"({"services": [{"name": "web", "id": "w", "port": 81, "checks": [
              {"tcp": "127.0.0.1:81", "interval": "10s"}, {"ttl": "20s"}]}]})")
              .empty());
  world.advance(30s);
  const auto ticks = [&](const char* check) { return a.agent().check_report("w", check).ticks; };
  const std::size_t before = ticks("tcp").size();
  CHECK(before >= 3);
  CHECK(ticks("tcp")[0].kind == "fail_refused");
  CHECK_FALSE(ticks("tcp")[0].passed);
  CHECK(ticks("tcp")[0].wall > ticks("tcp")[1].wall);
  CHECK(a.agent().probe_time("w", "tcp"));
  CHECK_FALSE(a.agent().probe_time("w", "ttl"));
  CHECK_FALSE(a.agent().probe_time("w", "http"));
  const auto probed = a.agent().probe_now("w");
  REQUIRE(probed);
  CHECK(*probed == std::vector<std::string>{"tcp"});
  world.advance(100ms);
  CHECK(ticks("tcp").size() == before + 1);
  CHECK(a.agent().probe_now("x").error() == registry::RegistryError::unknown_instance);
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
