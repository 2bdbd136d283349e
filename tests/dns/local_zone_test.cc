// SPDX-License-Identifier: Apache-2.0
#include "dns/local_zone.h"

#include <map>

#include <doctest/doctest.h>

#include "dns/zone_store.h"
#include "tests/dns/bed.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

LocalZone make_zone() {
  ZoneOptions options;
  options.origin = name("SVC");
  return LocalZone(options);
}

Bytes relative(const Name& full) {
  return full.wire().first(full.wire().size() - 5);
}

const ZoneNode* find(const LocalZone& zone, std::string_view text) {
  const Name full = name(text);
  return zone.store().find(relative(full));
}

}  // namespace

TEST_CASE("names above a name exist as long as it does") {
  LocalZone zone = make_zone();
  zone.set(name("a.b.c.svc"), {a("10.0.0.1")});
  zone.set(name("X.B.C.svc"), {a("10.0.0.2")});
  CHECK(zone.name_count() == 2);
  REQUIRE(find(zone, "b.c.svc"));
  CHECK(!find(zone, "b.c.svc")->set);
  REQUIRE(find(zone, "c.svc"));
  zone.set(name("b.c.svc"), {a("10.0.0.3")});
  zone.erase(name("a.b.c.svc"));
  zone.erase(name("x.b.c.svc"));
  CHECK(!find(zone, "a.b.c.svc"));
  REQUIRE(find(zone, "c.svc"));
  zone.erase(name("b.c.svc"));
  CHECK(!find(zone, "b.c.svc"));
  CHECK(!find(zone, "c.svc"));
  CHECK(!find(zone, "x.b.c.svc"));
  CHECK(zone.name_count() == 0);
}

TEST_CASE("a name with names below it stays, empty, when it is erased") {
  LocalZone zone = make_zone();
  zone.set(name("web.svc"), {a("10.0.0.1")});
  zone.set(name("one.web.svc"), {a("10.0.0.1")});
  zone.erase(name("web.svc"));
  REQUIRE(find(zone, "web.svc"));
  CHECK(!find(zone, "web.svc")->set);
  CHECK(find(zone, "web.svc")->records().empty());
  zone.set(name("web.svc"), {a("10.0.0.1")});
  zone.erase(name("one.web.svc"));
  CHECK(find(zone, "web.svc")->set);
  CHECK(find(zone, "web.svc")->below == 0);
}

TEST_CASE("equal records are one, with the best rank and all the weight") {
  LocalZone zone = make_zone();
  ZoneRecord brief = a("10.0.0.1", 3, 10);
  brief.not_after = TimePoint(5s);
  zone.set(name("web.svc"), {brief, a("10.0.0.2", 1, 0), a("10.0.0.1", 2, 65'530)});
  const ZoneNode* const node = find(zone, "web.svc");
  REQUIRE(node->records().size() == 2);
  CHECK(node->records()[0].rank == 1);
  CHECK(node->records()[0].weight == 1);
  CHECK(node->records()[1].rank == 2);
  CHECK(node->records()[1].weight == 0xffff);
  CHECK(node->records()[1].expires == StoredRecord::kNever);
}

TEST_CASE("the serial counts what clients can see") {
  LocalZone zone = make_zone();
  const auto step = [&zone](auto change) {
    const auto before = zone.serial();
    change();
    return zone.serial() - before;
  };
  const Name web = name("web.svc");
  CHECK(step([&] { zone.set(web, {a("10.0.0.1")}); }) == 1);
  CHECK(step([&] { zone.set(web, {a("10.0.0.1")}); }) == 0);
  ZoneRecord aging = a("10.0.0.1", 1, 5);
  aging.not_after = TimePoint(100s);
  CHECK(step([&] { zone.set(web, {aging}); }) == 0);
  CHECK(step([&] { zone.set(web, {a("10.0.0.2"), a("10.0.0.3", 1)}); }) == 1);
  CHECK(step([&] { zone.set(web, {a("10.0.0.2", 1), a("10.0.0.3")}); }) == 0);
  CHECK(step([&] { zone.set(web, {a("10.0.0.2")}); }) == 1);
  CHECK(step([&] { zone.set(web, {a("10.0.0.2")}, "", true); }) == 1);
  CHECK(step([&] { zone.set(web, {}, "starting"); }) == 1);
  CHECK(step([&] { zone.set(web, {}, "critical"); }) == 1);
  CHECK(step([&] { zone.erase(web); }) == 1);
  CHECK(step([&] { zone.erase(web); }) == 0);
}

TEST_CASE("the zone's name server is there until a registration takes the name") {
  ZoneOptions options;
  options.origin = name("svc");
  options.name_server = {*IpAddress::parse("127.0.0.55"), *IpAddress::parse("::")};
  LocalZone zone(options);
  CHECK(zone.name_count() == 0);
  CHECK(zone.serial() == 1);
  REQUIRE(find(zone, "ns.svc"));
  CHECK(find(zone, "ns.svc")->records().size() == 1);
  zone.erase(name("ns.svc"));
  CHECK(find(zone, "ns.svc"));
  zone.set(name("ns.svc"), {a("10.0.0.1"), a("10.0.0.2")});
  CHECK(zone.name_count() == 1);
  CHECK(find(zone, "ns.svc")->records().size() == 2);
  zone.erase(name("ns.svc"));
  CHECK(zone.name_count() == 0);
  CHECK(find(zone, "ns.svc")->records().size() == 1);
}

TEST_CASE("one name holds no more than its limit") {
  LocalZone zone = make_zone();
  std::vector<ZoneRecord> records;
  for (std::size_t i = 0; i < kRecordsPerNameMax + 10; ++i)
    records.push_back({RrType::a, AddressData{IpAddress::v4(10, static_cast<std::uint8_t>(i >> 16),
                                                            static_cast<std::uint8_t>(i >> 8),
                                                            static_cast<std::uint8_t>(i))}});
  zone.set(name("web.svc"), records);
  CHECK(find(zone, "web.svc")->records().size() == kRecordsPerNameMax);
}

TEST_CASE("the store agrees with a plain map through ten thousand changes") {
  LocalZone zone = make_zone();
  std::map<Name, std::string> expected;
  SeededRandom random(21);
  for (int i = 0; i < 10'000; ++i) {
    Name owner = name("svc");
    for (auto labels = 1 + random.below(3); labels > 0; --labels)
      owner =
          *owner.child(std::string(1 + random.below(2), static_cast<char>('a' + random.below(9))));
    if (random.below(3) == 0) {
      zone.erase(owner);
      expected.erase(owner);
    } else {
      const std::string address = "10.0.0." + std::to_string(random.below(256));
      zone.set(owner, {a(address)});
      expected[owner] = address;
    }
  }
  CHECK(zone.name_count() == expected.size());
  for (const auto& [owner, address] : expected) {
    const ZoneNode* const node = zone.store().find(relative(owner));
    REQUIRE(node);
    REQUIRE(node->set);
    const Bytes rdata = node->rdata(node->records()[0]);
    CHECK(IpAddress::from_bytes(rdata).to_string() == address);
    for (Name above = owner.parent(); above != name("svc"); above = above.parent())
      CHECK(zone.store().find(relative(above)));
  }
  for (const auto& [owner, address] : std::map(expected))
    zone.erase(owner);
  for (const auto& [owner, address] : expected)
    for (Name gone = owner; gone != name("svc"); gone = gone.parent())
      CHECK(!zone.store().find(relative(gone)));
}
