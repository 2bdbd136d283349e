// SPDX-License-Identifier: Apache-2.0
// Entries of registries beyond the link (etcd, Consul), beside what the link has of the same
// instance.
#include <algorithm>

#include <doctest/doctest.h>

#include "agent/registry/served.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

/// `web` on port 80 of another host, as the link has it.
Sighting on_link(const std::string& id = "w1", const std::string& address = "10.0.0.9") {
  Sighting s = sighting("web", id, address, 80);
  s.place.host = "box-" + address + ".local";
  s.stated = StatedHost{.identity = "of" + id, .node = {}};
  return s;
}

Sighting in_registry(Source source, const std::string& id, const std::string& address = "10.0.0.9",
                     std::uint16_t port = 80) {
  Sighting s = sighting("web", id, address, port);
  const std::string name = to_string(source);
  s.place = {.key = name + ' ' + id + ' ' + address,
             .engine = source == Source::etcd ? "etcd" : "consul",
             .host = name};
  s.place.detail = PlaceDetail{.key = "/services/web/" + id, .endpoint = "http://e:2379"};
  s.source = source;
  s.addresses.front().interface = 0;
  return s;
}
Sighting in_etcd(const std::string& id, const std::string& address = "10.0.0.9",
                 std::uint16_t port = 80) {
  return in_registry(Source::etcd, id, address, port);
}
/// As go-zero has it: the id was made of address and port.
Sighting without_id(const std::string& address = "10.0.0.9", std::uint16_t port = 80) {
  Sighting s = in_etcd("web-" + address + '-' + std::to_string(port), address, port);
  s.own_id = false;
  return s;
}

InstancePtr only(const Registry& registry) {
  const auto all = registry.instances("web");
  REQUIRE(all.size() == 1);
  return all.front();
}

TEST_CASE("of more than kEntriesPerContactMax at one address, those beyond are not compared") {
  Registry registry("box");
  const std::size_t beyond = 3;
  (void)registry.see(on_link(), at(0s));
  for (std::size_t i = 0; i < kEntriesPerContactMax - 1 + beyond; ++i)
    (void)registry.see(in_etcd('i' + std::to_string(i)), at(1s));
  const auto served = [&] {
    return std::ranges::count_if(registry.instances("web"),
                                 [](const InstancePtr& each) { return each->served(); });
  };
  CHECK(served() == 1 + beyond);
  (void)registry.lose(on_link().place.key, at(2s));
  CHECK(served() == kEntriesPerContactMax - 1 + beyond);
}

TEST_CASE("one instance in four places is one instance, in whatever order they are met") {
  std::vector<Sighting> all = {on_link(), in_registry(Source::consul, "w1"), in_etcd("w1"),
                               without_id()};
  std::ranges::sort(all, {}, [](const Sighting& s) { return s.place.key; });
  do {
    Registry registry("box");
    for (const Sighting& each : all)
      (void)registry.see(each, at(1s));
    const InstancePtr merged = only(registry);
    CHECK(merged->id.text() == "w1");
    CHECK_FALSE(merged->renamed());
    CHECK(merged->source == Source::sighting);
    CHECK(merged->places.size() == 4);
    CHECK(merged->places.front().engine == "mdns");
    CHECK(served_addresses(*merged, host_view()).size() == 1);
    // Each source dies in turn, and what is left still answers under the same id.
    for (const Sighting& each : all) {
      (void)registry.lose(each.place.key, at(2s));
      if (&each == &all.back()) break;
      CHECK(only(registry)->id.text() == "w1");
      CHECK(only(registry)->served());
    }
    CHECK(registry.instances("web").empty());
  } while (
      std::ranges::next_permutation(all, {}, [](const Sighting& s) { return s.place.key; }).found);
}

TEST_CASE("a copy ranks behind its original, and is one instance with it from any host") {
  Sighting original = in_etcd("w1"), copy = on_link(), again = on_link();
  original.version = "v2";
  for (Sighting* each : {&copy, &again}) {
    each->place.via = "etcd";
    each->stated = StatedHost{};
    each->vouched = false;
    each->version = "v1";
  }
  again.place.key += " (2)";
  again.place.host = "other-box.local";
  std::vector<Sighting> all = {original, copy, again};
  std::ranges::sort(all, {}, [](const Sighting& s) { return s.place.key; });
  do {
    Registry registry("box");
    for (const Sighting& each : all)
      (void)registry.see(each, at(1s));
    CHECK(only(registry)->id.text() == "w1");
    CHECK(only(registry)->version == "v2");
    CHECK(only(registry)->places.size() == 3);
    // While the registry cannot be reached, the copy is better than nothing.
    (void)registry.go_stale(original.place.key, at(2s));
    CHECK(only(registry)->version == "v1");
    CHECK_FALSE(only(registry)->stale);
    // What an agent announced as a copy becomes an original: that is news.
    Sighting own = copy;
    own.place.via = {};
    CHECK(registry.see(own, at(3s)).list.front().news());
  } while (
      std::ranges::next_permutation(all, {}, [](const Sighting& s) { return s.place.key; }).found);
  // Its SRV target says who has copied it, not where it is.
  Registry registry("box");
  (void)registry.see(copy, at(1s));
  CHECK(node_of(*only(registry), host_view()) == "10.0.0.9");
}

TEST_CASE("an agent of this host, the link, Consul and etcd report one instance") {
  std::vector<Sighting> all = {on_link(), in_registry(Source::consul, "w1"), in_etcd("w1")};
  Sighting sibling = on_link();
  sibling.place = {.key = "/a web w1", .engine = "host", .host = "/a"};
  sibling.source = Source::host;
  sibling.from_this_host = true;
  all.push_back(sibling);
  for (Sighting& each : all)
    each.on_this_host = true;
  Registry registry("box");
  for (const Sighting& each : all)
    (void)registry.see(each, at(1s));
  CHECK(only(registry)->places.size() == 4);
  CHECK(only(registry)->source == Source::host);
  for (const std::size_t dies : {3U, 0U, 1U}) {
    (void)registry.lose(all[dies].place.key, at(2s));
    CHECK(only(registry)->served());
    CHECK(only(registry)->id.text() == "w1");
  }
  CHECK(only(registry)->source == Source::etcd);
}

TEST_CASE("readers see an instance change, not leave and come, when a nearer source finds it") {
  Registry registry("box");
  (void)registry.see(in_etcd("w1"), at(0s));
  const Changes changes = registry.see(on_link(), at(9s));
  REQUIRE(changes.list.size() == 1);
  REQUIRE(changes.list[0].before);
  REQUIRE(changes.list[0].after);
  CHECK(only(registry)->registered.at == at(0s).at);
}

TEST_CASE("the nearer source describes the instance, and a stale place never beats a current one") {
  Registry registry("box");
  Sighting consul = in_registry(Source::consul, "w1", "10.0.0.9", 81);
  Sighting etcd = in_etcd("w1", "172.17.0.2", 8'080);
  etcd.tags = {"a", "b"};
  (void)registry.see(etcd, at(0s));
  (void)registry.see(consul, at(1s));
  CHECK(only(registry)->port == 81);
  CHECK(only(registry)->tags == etcd.tags);  // from the one that has more
  (void)registry.see(on_link(), at(2s));
  CHECK(only(registry)->port == 80);
  CHECK(only(registry)->addresses.size() == 1);
  (void)registry.go_stale(on_link().place.key, at(3s));
  CHECK(only(registry)->port == 81);
  CHECK_FALSE(only(registry)->stale);
  (void)registry.go_stale(consul.place.key, at(4s));
  CHECK(only(registry)->port == 8'080);
  (void)registry.go_stale(etcd.place.key, at(5s));
  CHECK(only(registry)->port == 80);
  CHECK(only(registry)->stale);
  (void)registry.see(etcd, at(6s));
  CHECK(only(registry)->port == 8'080);
}

TEST_CASE("a check that fails in one registry counts, while its place is current") {
  Registry registry("box");
  (void)registry.see(on_link(), at(0s));
  Sighting consul = in_registry(Source::consul, "w1");
  consul.health = Health::critical;
  CheckState check;
  check.spec.id = "disk";
  check.health = CheckHealth::critical;
  check.output = "full";
  consul.checks = {check};
  (void)registry.see(consul, at(1s));
  CHECK(only(registry)->health == Health::critical);
  CHECK(failure_of(*only(registry)) == "full");
  (void)registry.go_stale(consul.place.key, at(2s));
  CHECK(only(registry)->health == Health::passing);
}

TEST_CASE("two ids at one address and port are one program, of which the nearer source tells") {
  Registry registry("box");
  (void)registry.see(in_etcd("uuid-1"), at(0s));
  CHECK(only(registry)->served());
  (void)registry.see(on_link(), at(1s));
  REQUIRE(registry.instances("web").size() == 2);
  const auto served = [&](const std::string& id) {
    for (const InstancePtr& each : registry.instances("web"))
      if (each->id.text() == id) return each->served();
    return false;
  };
  CHECK(served("w1"));
  CHECK_FALSE(served("uuid-1"));
  // The one that came first.
  (void)registry.lose(on_link().place.key, at(2s));
  CHECK(served("uuid-1"));
  (void)registry.see(on_link(), at(3s));
  (void)registry.see(in_etcd("uuid-2"), at(4s));
  CHECK(served("w1"));
  CHECK_FALSE(served("uuid-2"));
  (void)registry.go_stale(on_link().place.key, at(5s));
  CHECK(served("uuid-2"));
  CHECK(served("uuid-1"));  // both state an id
}

/// In the layout `name`; with `mark` and `lease` as an agent writes it.
Sighting in_layout(const std::string& name, const std::string& address, const std::string& mark,
                   std::int64_t lease) {
  Sighting s = in_etcd("w1", address);
  s.place.key = "etcd " + name;
  s.place.detail = PlaceDetail{.key = name, .lease = lease};
  s.stated = StatedHost{.identity = mark, .node = {}};
  return s;
}

TEST_CASE("what anyone writes under the id of an instance changes nothing that its agent wrote") {
  // Each entry of the agent in turn is overwritten, and another one is added, before and after.
  for (const char* where : {"forge", "goframe", "kratos", "another"})
    for (const bool first : {false, true}) {
      CAPTURE(where);
      CAPTURE(first);
      Registry registry("box");
      Sighting forged = in_layout(where, "6.6.6.6", "", 0);
      forged.port = 99;
      forged.health = Health::critical;
      forged.tags = {"x", "y"};
      forged.metadata = {{"k", "v"}};
      if (first) (void)registry.see(forged, at(0s));
      for (const char* layout : {"kratos", "goframe", "forge"})
        if (!first || layout != std::string(where))
          (void)registry.see(in_layout(layout, "10.0.0.9", "a", 7), at(1s));
      if (!first) (void)registry.see(forged, at(2s));
      const InstancePtr all = only(registry);
      CHECK(all->served());
      CHECK(all->port == 80);
      CHECK(served_addresses(*all, host_view()) ==
            std::vector<IpAddress>{*IpAddress::parse("10.0.0.9")});
      CHECK(all->tags.empty());
      CHECK(all->metadata.empty());
    }
}

TEST_CASE("of two programs that write one id, the one with a lease counts, then the one known") {
  const auto address = [](const Registry& registry) {
    return only(registry)->addresses.front().address.to_string();
  };
  Registry registry("box");
  (void)registry.see(in_layout("a", "10.0.0.7", "", 0), at(0s));
  (void)registry.see(in_layout("b", "10.0.0.8", "", 0), at(1s));
  CHECK(address(registry) == "10.0.0.7");
  // Rewritten, it is as new as any.
  (void)registry.see(in_layout("a", "6.6.6.6", "", 0), at(2s));
  CHECK(address(registry) == "10.0.0.8");
  (void)registry.see(in_layout("c", "10.0.0.9", "", 7), at(3s));
  CHECK(address(registry) == "10.0.0.9");
  // Consul has no leases, and is nearer all the same.
  (void)registry.see(in_registry(Source::consul, "w1", "10.0.0.5"), at(4s));
  CHECK(address(registry) == "10.0.0.5");
}

TEST_CASE("two ids that registries state at one address and port are two instances") {
  Registry registry("box");
  (void)registry.see(in_etcd("w1"), at(0s));
  (void)registry.see(in_etcd("zz"), at(1s));
  (void)registry.see(in_registry(Source::consul, "c1"), at(2s));
  const auto all = registry.instances("web");
  REQUIRE(all.size() == 3);
  for (const InstancePtr& each : all)
    CHECK(each->served());
}

TEST_CASE("an entry without an id, of whatever host, replaces none that states its id") {
  for (const bool first : {false, true}) {
    Registry registry("box");
    Sighting stated = in_etcd("w1"), made = without_id();
    stated.stated = StatedHost{.identity = "a", .node = {}};
    made.stated = StatedHost{.identity = "b", .node = {}};
    (void)registry.see(first ? made : stated, at(0s));
    (void)registry.see(first ? stated : made, at(1s));
    REQUIRE(registry.instances("web").size() == 2);
    for (const InstancePtr& each : registry.instances("web"))
      CHECK(each->served() == (each->id.text() == "w1"));
  }
}

TEST_CASE("an entry that claims to be ours does not hide what another host announces") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"w1","port":80})"), at(0s)));
  const auto others = [&] {
    return std::ranges::count_if(registry.instances("web"),
                                 [](const InstancePtr& each) { return !each->own(); });
  };
  (void)registry.see(on_link("w1", "10.0.0.8"), at(1s));
  CHECK(others() == 1);
  Sighting ours = in_etcd("w1", "10.0.0.1");
  ours.on_this_host = true;
  (void)registry.see(ours, at(2s));
  CHECK(others() == 1);
}

TEST_CASE("an entry without an id follows its address") {
  Registry registry("box");
  (void)registry.see(without_id("10.0.0.9"), at(0s));
  (void)registry.see(on_link("w1", "10.0.0.9"), at(1s));
  CHECK(only(registry)->places.size() == 2);
  Sighting moved = on_link("w1", "10.0.0.9");
  moved.addresses = {{*IpAddress::parse("10.0.0.10"), 2}};
  (void)registry.see(moved, at(2s));
  REQUIRE(registry.instances("web").size() == 2);
  (void)registry.see(on_link("w1", "10.0.0.9"), at(3s));
  CHECK(only(registry)->places.size() == 2);
}

TEST_CASE("entries that two hosts wrote are two instances, whatever their ids") {
  Registry registry("box");
  Sighting a = in_etcd("w1", "10.0.0.7"), b = in_etcd("w1", "10.0.0.8");
  a.stated = StatedHost{.identity = "a", .node = {}};
  b.stated = StatedHost{.identity = "b", .node = {}};
  (void)registry.see(a, at(0s));
  (void)registry.see(b, at(1s));
  REQUIRE(registry.instances("web").size() == 2);
  for (const InstancePtr& each : registry.instances("web"))
    CHECK(each->served());
}

TEST_CASE("what a registry has of our own registration is not listed") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"w1","port":80})"), at(0s)));
  Sighting mine = in_etcd("w1");
  mine.on_this_host = true;
  (void)registry.see(mine, at(1s));
  CHECK(only(registry)->own());
  Sighting same = without_id();
  same.on_this_host = true;
  (void)registry.see(same, at(2s));
  for (const InstancePtr& each : registry.instances("web"))
    CHECK(each->served() == each->own());
}

TEST_CASE("a place is kept for as long as its source says") {
  Registry registry("box");
  (void)registry.see(in_etcd("w1"), at(0s));
  (void)registry.see(in_etcd("w2", "10.0.0.8"), at(0s));
  (void)registry.go_stale(in_etcd("w1").place.key, at(1s), {.grace = 10min, .reason = "refused"});
  (void)registry.go_stale(in_etcd("w2", "10.0.0.8").place.key, at(1s),
                          {.grace = Duration::max(), .reason = "refused"});
  const InstancePtr stale = registry.instances("web").front();
  CHECK(stale->stale);
  CHECK(stale->places.front().stale->reason == "refused");
  CHECK(stale->places.front().stale->until == at(10min + 1s).wall);
  (void)registry.expire(at(10min));
  CHECK(registry.instances("web").size() == 2);
  (void)registry.expire(at(10min + 1s));
  CHECK(only(registry)->id.text() == "w2");
  (void)registry.expire(at(24h * 365));
  CHECK(only(registry)->id.text() == "w2");
  CHECK(registry.next_expiry().value_or(TimePoint()) < at(24h).at);
}

TEST_CASE("a large registry leaves the link its share, and other registries theirs") {
  Registry registry("box");
  const auto port = [](std::size_t i) { return static_cast<std::uint16_t>(1'000 + i); };
  for (std::size_t i = 0; i < kRemoteSightingsMax + 10; ++i)
    (void)registry.see(in_etcd("e" + std::to_string(i), "10.0.0.9", port(i)), at(0s));
  CHECK(registry.instance_count() == kRemoteSightingsMax);
  CHECK(registry.refused_sightings() == 10);
  for (std::size_t i = 0; i < kRemoteSightingsMax + 10; ++i)
    (void)registry.see(in_registry(Source::consul, "c" + std::to_string(i), "10.0.0.8", port(i)),
                       at(0s));
  CHECK(registry.instance_count() == 2 * kRemoteSightingsMax);
  const std::size_t left = kSightingsMax - 2 * kRemoteSightingsMax;
  CHECK(left >= kSightingsMax / 4);
  for (std::size_t i = 0; i < left; ++i)
    (void)registry.see(sighting("lan", "l" + std::to_string(i), "10.0.0.7", port(i)), at(0s));
  CHECK(registry.instances("lan").size() == left);
  // What leaves makes room.
  (void)registry.lose(in_etcd("e0", "10.0.0.9", 1'000).place.key, at(1s));
  (void)registry.see(in_etcd("again", "10.0.0.9", 1'000), at(2s));
  CHECK(registry.refused_sightings() == 20);
}

TEST_CASE("a lease or revision that changes is shown, but is no news") {
  Registry registry("box");
  (void)registry.see(in_etcd("w1"), at(0s));
  Sighting renewed = in_etcd("w1");
  renewed.place.detail = PlaceDetail{.key = "/services/web/w1", .endpoint = "b", .revision = 7};
  const Changes changes = registry.see(renewed, at(1s));
  REQUIRE(changes.list.size() == 1);
  CHECK_FALSE(changes.list[0].news());
  CHECK(only(registry)->places.front().detail->revision == 7);
}

TEST_CASE("a name of another program becomes a label, and stays what it is for people") {
  const auto name = ServiceName::from_foreign("prod/order.rpc");
  REQUIRE(name);
  CHECK(name->label() == "prod-order-rpc");
  CHECK(name->text() == "prod/order.rpc");
  CHECK(ServiceName::from_foreign("ns")->label() != "ns");
  CHECK(ServiceName::from_foreign(std::string(200, 'x'))->label().size() <= kServiceLabelBytesMax);
  CHECK(ServiceName::from_foreign("///")->label().size() > 1);
  CHECK_FALSE(ServiceName::from_foreign(""));
  CHECK_FALSE(ServiceName::from_foreign("a\nb"));
}

}  // namespace
}  // namespace outrider::registry
