// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/served.h"

#include <doctest/doctest.h>

#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

InstancePtr instance(const char* id, Health health) {
  Instance out{.id = *InstanceId::parse(id), .service = *ServiceName::parse("s")};
  out.health = health;
  return std::make_shared<const Instance>(std::move(out));
}

InstancePtr shadowed(const InstancePtr& instance) {
  Instance out = *instance;
  out.shadowed = true;
  return std::make_shared<const Instance>(std::move(out));
}

std::string ids(const std::vector<InstancePtr>& list) {
  std::string out;
  for (const InstancePtr& each : list)
    out += (out.empty() ? "" : " ") + each->id.text();
  return out;
}

TEST_CASE("passing and warning instances are served, each part in its order") {
  const std::vector<InstancePtr> all = {
      instance("starts", Health::starting), instance("warns", Health::warning),
      shadowed(instance("hidden", Health::passing)), instance("passes", Health::passing),
      instance("drains", Health::draining)};
  const ServedChoice both = choose_served(all, {});
  CHECK(ids(both.served) == "warns passes");
  CHECK(ids(both.rest) == "starts hidden drains");
  const ServedChoice strict = choose_served(all, {.only_passing = true});
  CHECK(ids(strict.served) == "passes");
  CHECK(ids(strict.rest) == "starts warns hidden drains");
}

TEST_CASE("the rule for services without a healthy instance applies to no other service") {
  const std::vector<InstancePtr> bad = {
      instance("starts", Health::starting), instance("fails", Health::critical),
      shadowed(instance("hidden", Health::critical)), instance("failed", Health::critical)};
  std::vector<InstancePtr> mixed = bad;
  mixed.push_back(instance("passes", Health::passing));
  for (const AllUnhealthy rule :
       {AllUnhealthy::nodata, AllUnhealthy::last_resort, AllUnhealthy::nxdomain}) {
    CAPTURE(static_cast<int>(rule));
    const ServedChoice some = choose_served(mixed, {rule});
    CHECK(ids(some.served) == "passes");
    CHECK_FALSE(some.last_resort);
    CHECK_FALSE(some.hidden);
    const ServedChoice none = choose_served(bad, {rule});
    const bool resort = rule == AllUnhealthy::last_resort;
    CHECK(ids(none.served) == (resort ? "fails failed" : ""));
    CHECK(ids(none.rest) == (resort ? "starts hidden" : "starts fails hidden failed"));
    CHECK(none.last_resort == resort);
    CHECK(none.hidden == (rule == AllUnhealthy::nxdomain));
  }
  CHECK_FALSE(choose_served({bad.front()}, {AllUnhealthy::last_resort}).last_resort);
}

TEST_CASE("instances with warnings are a choice only where none is passing") {
  const InstancePtr warns = instance("warns", Health::warning);
  const InstancePtr passes = instance("passes", Health::passing);
  CHECK(ids(prefer_passing({warns, passes})) == "passes");
  CHECK(ids(prefer_passing({warns})) == "warns");
  CHECK(prefer_passing({}).empty());
}

TEST_CASE("rank: this host, its subnets, the rest; those with warnings behind them all") {
  Instance i{.id = *InstanceId::parse("i"), .service = *ServiceName::parse("s")};
  const auto rank = [&](Health health) {
    i.health = health;
    return static_cast<int>(rank_of(i, host_view()));
  };
  i.addresses = {{IpAddress::v4(192, 168, 9, 9), 0}};
  CHECK(nearness_of(i, host_view()) == Nearness::elsewhere);
  CHECK(rank(Health::passing) == 2);
  CHECK(rank(Health::warning) == 10);
  i.addresses.push_back({IpAddress::v4(10, 0, 0, 7), 0});
  CHECK(nearness_of(i, host_view()) == Nearness::same_subnet);
  CHECK(rank(Health::passing) == 1);
  i.on_this_host = true;
  CHECK(nearness_of(i, host_view()) == Nearness::this_host);
  CHECK(rank(Health::passing) == 0);
  CHECK(rank(Health::warning) == 8);
}

TEST_CASE("a host has one node name, whichever of its agents is looked at and from where") {
  const HostId id{"Box.example", "0123456789abcdef"};
  HostView there{.name = "box", .addresses = {}, .subnets = {}, .interfaces = {}};
  HostView here = there;
  here.node = node_name(id);
  CHECK(here.node.starts_with("box-"));
  CHECK(here.node != node_name({"box", "0123456789abcdee"}));
  CHECK(node_name(read_host_text(host_text(id))) == here.node);
  Instance seen = *instance("i", Health::passing);
  seen.source = Source::sighting;
  seen.stated = StatedHost{.node = node_name(id)};
  for (const char* target : {"box-1a2b3c4d.local", "box-ghijklmn-2.local"}) {
    seen.places = {{.key = "k", .engine = "mdns", .host = target}};
    seen.on_this_host = false;
    CHECK(node_of(seen, there) == here.node);
    seen.on_this_host = true;
    CHECK(node_of(seen, here) == here.node);
  }
  seen.on_this_host = false;
  seen.stated = {};  // of the first version
  CHECK(node_of(seen, there) == "box-ghijklmn-2.local");
  CHECK(node_name({"box", ""}) == "box");
  CHECK(host_text({"box", ""}).empty());
}

TEST_CASE("SRV weights are never 0, and 1 for instances with warnings") {
  Instance i{.id = *InstanceId::parse("i"), .service = *ServiceName::parse("s")};
  i.health = Health::passing;
  i.weight = 7;
  CHECK(srv_weight(i) == 7);
  i.health = Health::warning;
  CHECK(srv_weight(i) == 1);
  i.health = Health::passing;
  i.weight = 0;
  CHECK(srv_weight(i) == 1);
}

TEST_CASE("addresses: loopback for this host's own alone, never fe80::") {
  HostView host = host_view();
  Instance own{.id = *InstanceId::parse("i"), .service = *ServiceName::parse("s")};
  own.on_this_host = true;
  CHECK(served_addresses(own, host) == host.addresses);
  own.scope = Scope::host;
  CHECK(served_addresses(own, host) == std::vector{IpAddress::v4(127, 0, 0, 1)});
  own.scope = Scope::lan;
  host.addresses.clear();
  CHECK(served_addresses(own, host) == std::vector{IpAddress::v4(127, 0, 0, 1)});
  own.addresses = {{IpAddress::v4(127, 0, 0, 9), 0}};
  CHECK(served_addresses(own, host) == std::vector{IpAddress::v4(127, 0, 0, 9)});
  own.source = Source::sighting;
  own.on_this_host = false;
  CHECK(served_addresses(own, host).empty());
}

}  // namespace
}  // namespace outrider::registry
