// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/cache.h"

#include <cstring>
#include <set>

#include <doctest/doctest.h>

#include "base/text.h"
#include "mdns/native/limits.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

const IpAddress kNeighbour = IpAddress::v4(192, 168, 1, 9);
const TimePoint kStart{std::chrono::hours(1)};

struct CacheTest {
  SeededRandom random{1};
  Cache cache{random};
  Cache::Put put(const dns::Record& record, TimePoint now = kStart, std::uint32_t link = 2,
                 const IpAddress& source = kNeighbour) {
    return cache.put(now, link, record, source, false);
  }
};

dns::Record text_of(std::size_t bytes) {
  std::vector<std::string> strings;
  for (; bytes > 256; bytes -= 256)
    strings.emplace_back(255, 'x');
  strings.emplace_back(bytes - 1, 'x');
  return txt("t.local.", strings);
}

}  // namespace

TEST_CASE_FIXTURE(CacheTest, "cache: what is put is found, by name and by what points to it") {
  CHECK(put(ptr("_a._tcp.local.", "X._a._tcp.local.")) == Cache::Put::added);
  CHECK(put(ptr("_A._TCP.local.", "x._a._tcp.local.")) == Cache::Put::refreshed);
  CHECK(cache.size() == 1);
  REQUIRE(cache.find(name("_a._tcp.LOCAL."), RrType::ptr).size() == 1);
  REQUIRE(cache.find_pointers(name("x._A._tcp.local.")).size() == 1);
  // Links are worlds of their own.
  CHECK(put(ptr("_a._tcp.local.", "X._a._tcp.local."), kStart, 3) == Cache::Put::added);
  CHECK(cache.size() == 2);
  CHECK(cache.drop_link(3).size() == 1);
  CHECK(cache.size() == 1);
  CHECK(put(ptr("_a._tcp.local.", "none._a._tcp.local.", 0)) == Cache::Put::unknown);
}

TEST_CASE_FIXTURE(CacheTest, "cache: a goodbye lasts a second, and is taken back by a return") {
  put(srv("x._a._tcp.local.", "h.local.", 80));
  CHECK(put(srv("x._a._tcp.local.", "H.local.", 80, 0)) == Cache::Put::goodbye);
  CHECK(cache.find(name("x._a._tcp.local."), RrType::srv)[0]->leaving);
  CHECK(put(srv("x._a._tcp.local.", "h.local.", 80), kStart + 500ms) == Cache::Put::added);
  CHECK(cache.advance(kStart + 2s, 10).empty());
  put(srv("x._a._tcp.local.", "h.local.", 80, 0), kStart + 20s);
  const auto events = cache.advance(kStart + 21s, 10);
  REQUIRE(events.size() == 1);
  CHECK(events[0].due == Cache::Due::expired);
  CHECK(cache.size() == 0);
  CHECK(cache.bytes() == 0);
  CHECK_FALSE(cache.next_due().has_value());
}

TEST_CASE_FIXTURE(CacheTest, "cache: after a goodbye that was contradicted, others wait for that") {
  const dns::Record record = srv("x._a._tcp.local.", "h.local.", 80);
  const dns::Record goodbye = srv("x._a._tcp.local.", "h.local.", 80, 0);
  const dns::Name owner = name("x._a._tcp.local.");
  put(record);
  CHECK(put(goodbye, kStart + 1s) == Cache::Put::goodbye);
  CHECK(put(record, kStart + 1100ms) == Cache::Put::added);
  // One after the other, each contradicted within a second: it stays.
  TimePoint now = kStart + 1100ms;
  for (int i = 0; i < 20; ++i) {
    CHECK(put(goodbye, now += 20ms) == Cache::Put::doubted);
    CHECK(put(goodbye, now += 100ms) == Cache::Put::doubted);
    now += kMulticastAgainAfter;
    CHECK(cache.advance(now, 10).empty());
    CHECK(cache.has_live(owner, RrType::srv));
    CHECK(put(record, now) == Cache::Put::refreshed);
  }
  // Not contradicted: it ends, and the goodbye is why.
  CHECK(put(goodbye, now) == Cache::Put::doubted);
  CHECK(cache.advance(now + kDoubtedGrace - 1ms, 10).empty());
  const auto events = cache.advance(now + kDoubtedGrace, 10);
  REQUIRE(events.size() == 1);
  CHECK(events[0].record.taken_back);
  // In time the doubt ends.
  put(record, now);
  put(goodbye, now + 1s);
  put(record, now + 1s);
  CHECK(put(goodbye, now + 1s + kDoubtLife) == Cache::Put::goodbye);
}

TEST_CASE_FIXTURE(CacheTest,
                  "cache: the address that tells who sent a record is kept for its TTL") {
  const dns::Record record = srv("x._a._tcp.local.", "h.local.", 80, 20);
  const IpAddress other = *IpAddress::parse("fe80::9");
  const auto source = [&] { return cache.find(name("x._a._tcp.local."), RrType::srv)[0]->source; };
  put(record, kStart, 2, other);
  CHECK(source() == other);
  put(record, kStart);
  CHECK(source() == kNeighbour);
  put(record, kStart + 15s, 2, other);
  CHECK(source() == kNeighbour);
  put(record, kStart + 21s, 2, other);  // longer than the record of kNeighbour was valid
  CHECK(source() == other);
}

TEST_CASE_FIXTURE(CacheTest, "cache: refreshes come four times, in time, and together where near") {
  put(srv("x._a._tcp.local.", "h.local.", 80, 100));
  put(txt("x._a._tcp.local.", {"a=1"}, 100), kStart + 100ms);
  unsigned refreshes = 0, wakes = 0;
  while (cache.size() > 0) {
    const TimePoint due = *cache.next_due();
    CHECK(due >= kStart + 80s);
    ++wakes;
    for (const auto& event : cache.advance(due, 100))
      refreshes += event.due == Cache::Due::refresh ? 1 : 0;
  }
  CHECK(refreshes == 8);
  CHECK(wakes <= 10);
}

TEST_CASE_FIXTURE(CacheTest, "cache: limits of one record and one name") {
  CHECK(put(text_of(kCacheRdataMax)) == Cache::Put::added);
  CHECK(put(text_of(kCacheRdataMax + 1)) == Cache::Put::refused);
  for (std::size_t i = 0; i < kAddressesPerHostMax; ++i)
    CHECK(put(address("h.local.", "10.0.0." + std::to_string(i + 1))) == Cache::Put::added);
  CHECK(put(address("h.local.", "10.0.1.1")) == Cache::Put::refused);
  CHECK(put(address("h.local.", "fe80::1")) == Cache::Put::added);
  for (std::size_t i = 0; i < kSrvOrTxtPerNameMax; ++i)
    CHECK(put(srv("x._a._tcp.local.", "h.local.", static_cast<std::uint16_t>(i + 1))) ==
          Cache::Put::added);
  CHECK(put(srv("x._a._tcp.local.", "h.local.", 99)) == Cache::Put::refused);
  // Types that are not asked for.
  CHECK(put({name("h.local."), RrType::cname, dns::RrClass::in, false, 9,
             dns::NameData{name("g.local.")}}) == Cache::Put::refused);
}

TEST_CASE_FIXTURE(CacheTest, "cache: limit of records, and who pays for room") {
  const IpAddress loud = IpAddress::v4(192, 168, 1, 66);
  put(ptr("_a._tcp.local.", "quiet._a._tcp.local."));
  std::size_t count = 1;
  while (put(ptr("_a._tcp.local.", "i" + std::to_string(count) + "._a._tcp.local."), kStart, 2,
             loud) == Cache::Put::added)
    ++count;
  CHECK(count <= kCacheRecordsMax);
  CHECK(cache.bytes() <= kCacheBytesMax);
  CHECK((count == kCacheRecordsMax || cache.bytes() + 1'024 > kCacheBytesMax));
  REQUIRE(cache.loudest_source() == loud);
  CHECK(cache.drop_some_of(loud, 100).size() == 100);
  CHECK(cache.find_pointers(name("quiet._a._tcp.local.")).size() == 1);
  CHECK(put(ptr("_a._tcp.local.", "new._a._tcp.local.")) == Cache::Put::added);
}

TEST_CASE_FIXTURE(CacheTest, "cache: limit of octets") {
  std::size_t count = 0;
  for (;; ++count) {
    dns::Record record = text_of(4'000);
    record.name = name("t" + std::to_string(count) + ".local.");
    if (put(record) != Cache::Put::added) break;
  }
  CHECK(cache.bytes() <= kCacheBytesMax);
  CHECK(cache.bytes() + 5'000 > kCacheBytesMax);
  CHECK(count < kCacheRecordsMax);
}

TEST_CASE("cache: names that collide under one seed do not under another") {
  // Under a seed that is known, octets that undo its mask make the state of the hash forget what
  // came before them, so that all such names collide.
  std::uint64_t known = 0;
  std::string undo(8, 'A');
  for (; undo != lowered(undo); ++known) {
    const std::uint64_t mask = ~known * 0xff51'afd7'ed55'8ccdU;
    std::memcpy(undo.data(), &mask, undo.size());
  }
  --known;
  std::vector<dns::Name> names;
  for (int i = 0; i < 1'000; ++i) {
    const std::string number = std::to_string(1'000'000 + i);  // with its length, eight octets
    const auto made = dns::Name::from_labels({number + undo, "_a", "_tcp", "local"});
    REQUIRE(made.has_value());
    names.push_back(*made);
  }
  const auto different = [&](const dns::NameHash& hash) {
    std::set<std::size_t> values;
    for (const dns::Name& each : names)
      values.insert(hash(each));
    return values.size();
  };
  CHECK(different(dns::NameHash(known)) == 1);
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SeededRandom random(seed);
    CHECK(different(Cache(random).name_hash()) == names.size());
  }
}
