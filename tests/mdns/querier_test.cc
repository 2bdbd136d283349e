// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/querier.h"

#include <doctest/doctest.h>

#include "mdns/native/limits.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

struct Nowhere final : Outlet {
  std::size_t datagrams = 0;
  void multicast(const mdns::Link&, IpAddress::Family, Bytes) override { ++datagrams; }
  void unicast(const mdns::Link&, const Endpoint&, Bytes) override { ++datagrams; }
};

struct QuerierTest {
  QuerierTest() {
    mdns::Link link;
    link.index = 2;
    link.v4 = link.carries_lan = true;
    links.all = {link};
    querier.browse(now, {"_hello._tcp"});
  }
  void hear(const std::string& label, const std::string& source) {
    const Sent sent = instance(label, "_hello._tcp", label + ".local.", source, 80, 4'500);
    Packet packet;
    packet.from = {*IpAddress::parse(source), 5353};
    packet.response = true;
    packet.answers = sent.answers;
    querier.on_response(now, links.all[0], packet);
    for (Querier::Event& event : querier.take_events()) {
      if (const auto* seen = std::get_if<Querier::Sighted>(&event)) {
        sighted.insert(seen->sighting.key.label);
      } else if (const auto* lost = std::get_if<Querier::Lost>(&event)) {
        CHECK(lost->reason == LostReason::evicted);
        CHECK(sighted.erase(lost->key.label) == 1);
      }
    }
  }

  TimePoint now{std::chrono::hours(1)};
  SeededRandom random{1};
  Links links;
  Querier querier{links, random};
  std::set<std::string> sighted;
};

}  // namespace

TEST_CASE_FIXTURE(QuerierTest, "when everything is full, whoever floods pays") {
  for (int i = 0; i < 50; ++i)
    hear("friend" + std::to_string(i), "192.168.1.9");
  std::size_t most = 0;
  for (std::size_t i = 0; i < kSightingsMax + 1'000; ++i) {
    hear("f" + std::to_string(i), "192.168.1.66");
    most = std::max(most, querier.sightings());
  }
  CHECK(most > kSightingsMax * 9 / 10);
  CHECK(most <= kSightingsMax);
  CHECK(querier.cache().size() <= kCacheRecordsMax);
  CHECK(querier.cache().bytes() <= kCacheBytesMax);
  for (int i = 0; i < 50; ++i)
    CHECK(sighted.contains("friend" + std::to_string(i)));
  hear("late", "192.168.1.10");
  CHECK(sighted.contains("late"));
}

TEST_CASE_FIXTURE(QuerierTest, "asking costs a few datagrams, however many are known") {
  for (int i = 0; i < 1'000; ++i)
    hear("i" + std::to_string(i), "192.168.1.9");
  Nowhere out;
  querier.run(now + 200ms, out);
  CHECK(out.datagrams >= 1);
  CHECK(out.datagrams <= 40);
  CHECK(querier.has_asked());
}
