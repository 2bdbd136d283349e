// SPDX-License-Identifier: Apache-2.0
// What another agent of this host reports, beside what mDNS brings of it.
#include <doctest/doctest.h>

#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

/// `web` on port 80 as the link has it.
Sighting on_link() {
  Sighting s = sighting("web", "w1", "10.0.0.1", 80);
  s.place.host = "box-1a2b3c4d.local";
  s.on_this_host = s.from_this_host = true;
  s.farp = FarpSpec{.enabled = true};
  s.addresses.push_back({*IpAddress::parse("fe80::1"), 2});
  return s;
}

/// The same as its agent has it.
Sighting at_sibling(Health health) {
  Sighting s = sighting("web", "w1", "10.0.0.1", 80);
  s.place = {.key = "/a web w1", .engine = "host", .host = "/a"};
  s.source = Source::host;
  s.on_this_host = s.from_this_host = true;
  s.health = health;
  CheckState check;
  check.spec.id = "http";
  check.health = health == Health::passing ? CheckHealth::passing : CheckHealth::critical;
  check.output = health == Health::passing ? "" : "HTTP 503";
  s.checks = {check};
  return s;
}

InstancePtr only(const Registry& registry) {
  const auto all = registry.instances("web");
  REQUIRE(all.size() == 1);
  return all.front();
}

TEST_CASE("the agent that is responsible for an instance knows better than the link") {
  Registry registry("box");
  (void)registry.see(on_link(), at(0s));
  CHECK(only(registry)->source == Source::sighting);
  (void)registry.see(at_sibling(Health::critical), at(1s));
  const InstancePtr merged = only(registry);
  CHECK(merged->source == Source::host);
  CHECK(merged->health == Health::critical);
  CHECK(merged->checks.at(0).output == "HTTP 503");
  CHECK(merged->addresses.size() == 1);  // as the sibling answers
  CHECK(merged->farp->enabled);          // which only the link tells
  CHECK(merged->places.size() == 2);
  (void)registry.see(on_link(), at(2s));
  CHECK(only(registry)->health == Health::critical);
}

TEST_CASE("a name in .local that a sibling has got is news") {
  Registry registry("box");
  (void)registry.see(at_sibling(Health::passing), at(0s));
  CHECK(only(registry)->local_name->name.empty());
  Sighting named = at_sibling(Health::passing);
  named.local_name = LocalName{.wanted = false, .name = "web.local"};
  CHECK(registry.see(named, at(1s)).list.size() == 1);
  CHECK(only(registry)->local_name->name == "web.local");
}

TEST_CASE("an agent that is behind is worse than the link, and better than nothing") {
  Registry registry("box");
  (void)registry.see(at_sibling(Health::critical), at(0s));
  (void)registry.go_stale("/a web w1", at(1s));
  CHECK(only(registry)->stale);
  (void)registry.see(on_link(), at(2s));
  CHECK_FALSE(only(registry)->stale);
  CHECK(only(registry)->health == Health::passing);
  (void)registry.see(at_sibling(Health::critical), at(3s));
  CHECK(only(registry)->health == Health::critical);
  (void)registry.lose("/a web w1", at(4s));
  CHECK(only(registry)->source == Source::sighting);
}

TEST_CASE("a sibling and the link report one instance, whatever address it has") {
  Registry registry(HostId{"box", "mine"});
  Sighting at_link = on_link(), at_agent = at_sibling(Health::passing);
  for (Sighting* each : {&at_link, &at_agent})
    each->addresses = {{*IpAddress::parse("10.0.0.77"), 0}};  // of another host, as registered
  at_link.on_this_host = false;
  at_link.stated = StatedHost{.identity = "of the first version"};
  (void)registry.see(at_link, at(0s));
  (void)registry.see(at_agent, at(1s));
  CHECK(only(registry)->places.size() == 2);
  CHECK(only(registry)->stated->identity == "mine");
  // Another one at the same port of another host is no successor.
  at_agent.place.key = "/a web w2";
  at_agent.id = *InstanceId::parse("w2");
  at_agent.addresses = {{*IpAddress::parse("10.0.0.78"), 0}};
  (void)registry.see(at_agent, at(2s));
  for (const InstancePtr& instance : registry.instances("web"))
    CHECK(instance->served());
  // Nor is one with the same address: the agent that has both serves both.
  at_agent.place.key = "/a web w3";
  at_agent.id = *InstanceId::parse("w3");
  (void)registry.see(at_agent, at(3s));
  CHECK(registry.instances("web").size() == 3);
  for (const InstancePtr& instance : registry.instances("web"))
    CHECK(instance->served());
}

TEST_CASE("a sibling's instance with our id is hidden while ours is listed") {
  Registry registry("box");
  const auto mine = spec(R"({"name":"web","id":"w1","port":80,
      "checks":[{"http":"/","deregister_critical_after":"1m"}]})");
  REQUIRE(registry.put(mine, at(0s)));
  Sighting theirs = at_sibling(Health::passing);
  theirs.addresses.clear();  // the host has none
  (void)registry.see(theirs, at(1s));
  CHECK(only(registry)->own());
  REQUIRE(registry.set_check("w1", "http", CheckHealth::critical, "", at(2s)));
  const Changes dropped = registry.expire(at(62s));
  REQUIRE(dropped.list.size() == 2);
  CHECK(dropped.list[0].any().own());
  CHECK_FALSE(only(registry)->own());
  CHECK(only(registry)->id.text() == "w1");
  CHECK(only(registry)->served());
  REQUIRE(registry.set_check("w1", "http", CheckHealth::passing, "", at(63s)));
  CHECK(only(registry)->own());
  REQUIRE(registry.remove("w1", at(64s)));
  CHECK(only(registry)->id.text() == "w1");
}

TEST_CASE("a check of a sibling that stays as it is keeps the time since when") {
  Registry registry("box");
  (void)registry.see(at_sibling(Health::critical), at(0s));
  Sighting later = at_sibling(Health::critical);
  later.checks[0].since = at(9s);
  later.checks[0].output = "HTTP 500";
  const Changes changes = registry.see(later, at(9s));
  REQUIRE(changes.list.size() == 1);
  CHECK(changes.list[0].news());
  CHECK(only(registry)->checks.at(0).since.at == at(0s).at);
  CHECK(registry.see(later, at(10s)).empty());
}

}  // namespace
}  // namespace outrider::registry
