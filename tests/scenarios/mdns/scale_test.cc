// SPDX-License-Identifier: Apache-2.0
// How much it takes to tell and to see many: in packets and in simulated time.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

struct Traffic {
  std::size_t datagrams = 0;
  std::size_t bytes = 0;
};

Traffic sent_by(const sim::Link& lan, const std::string& host) {
  Traffic out;
  for (const sim::WireDatagram& datagram : lan.capture()) {
    if (datagram.host != host) continue;
    ++out.datagrams;
    out.bytes += datagram.payload.size();
  }
  return out;
}

}  // namespace

TEST_CASE("50 and 300 instances of one agent: all seen, in few datagrams") {
  for (const std::size_t count : {std::size_t{50}, std::size_t{300}}) {
    TwoHosts hosts;
    auto& [world, lan, host_a, host_b, alice, bob] = hosts;
    world.advance(5s);
    lan.clear_capture();
    const TimePoint start = world.now();
    for (AnnouncementId id = 1; id <= count; ++id)
      REQUIRE(alice->publish(id, hello("i" + std::to_string(id))).has_value());
    REQUIRE(world.run_until([&] { return bob.sightings.size() == count; }, 10s));
    const Duration took = world.now() - start;
    CHECK(took <= 1'100ms);
    world.advance(2s);
    const Traffic alices = sent_by(lan, "a");
    const Traffic bobs = sent_by(lan, "b");
    CHECK(alices.datagrams <= count / 2 + 20);
    CHECK(bobs.datagrams <= 20 + count / 20);  // with all that it knows, several times
    // One that comes later asks once and is reported everything.
    world.host("c").attach("eth0", lan, {"192.168.1.4/24"});
    Peer carol(world.host("c"), options_for("c"));
    const TimePoint late = world.now();
    REQUIRE(world.run_until([&] { return carol.sightings.size() == count; }, 10s));
    const Duration late_took = world.now() - late;
    CHECK(late_took <= 2s);
    MESSAGE(count << " instances: seen after " << format_duration(took) << ", by a newcomer after "
                  << format_duration(late_took) << "; " << alices.datagrams << " datagrams of "
                  << alices.bytes << " octets told it; " << bob->counters().cached_bytes / count
                  << " octets of cache each");
    alice.stop();
    REQUIRE(world.run_until([&] { return bob.sightings.empty(); }, 2s));
    world.advance(2s);
  }
}

TEST_CASE("12 agents of one type on a LAN: traffic when all is quiet") {
  sim::World world(5);
  sim::Link& lan = world.link("lan");
  std::vector<std::unique_ptr<Peer>> peers;
  const TimePoint start = world.now();
  for (int i = 0; i < 12; ++i) {
    const std::string id = std::to_string(i);
    sim::Host& host = world.host("h" + id);
    host.attach("eth0", lan, {"192.168.1." + std::to_string(i + 10) + "/24"});
    peers.push_back(std::make_unique<Peer>(host, options_for("h" + id)));
    REQUIRE((*peers.back())->publish(1, hello("i" + id)).has_value());
  }
  REQUIRE(world.run_until(
      [&] {
        return std::all_of(peers.begin(), peers.end(),
                           [](const auto& peer) { return peer->sightings.size() == 11; });
      },
      10s));
  const Duration all_see_all = world.now() - start;
  world.advance(10s);
  lan.clear_capture();
  world.advance(80s);  // longer than every TTL of the short profile
  std::size_t bytes = 0;
  for (const auto& datagram : lan.capture())
    bytes += datagram.payload.size();
  const double per_second = static_cast<double>(lan.capture().size()) / 80;
  MESSAGE("all see all after " << format_duration(all_see_all) << "; then " << per_second
                               << " datagrams and " << bytes / 80 << " octets a second");
  CHECK(per_second <= 8);
  for (const auto& peer : peers) {
    CHECK(peer->sightings.size() == 11);
    CHECK(peer->lost.empty());
  }
}

TEST_CASE("limits of the announcing side") {
  Bench bench;
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id)
    REQUIRE((*bench.device)->publish(id, hello("i" + std::to_string(id))).has_value());
  CHECK((*bench.device)->publish(kAnnouncementsMax + 1, hello("more")).error() ==
        PublishError::too_many);
  CHECK((*bench.device)->publish(1, hello("changed")).has_value());
  bench.world.advance(5s);
  CHECK(bench.device->announced.size() == kAnnouncementsMax);
  Announcement wanted = hello();
  wanted.label = std::string(64, 'x');
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_label);
  wanted.label = "\xff";
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_label);
  wanted = hello();
  wanted.type = "hello._tcp";
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_type);
  wanted.type = "_hello._sctp";
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_type);
  wanted = hello();
  wanted.txt = {std::string(256, 'x')};
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_txt);
  wanted.txt = {"=value"};
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::bad_txt);
  wanted.txt = std::vector<std::string>(5, "k=" + std::string(250, 'x'));
  CHECK((*bench.device)->publish(1, wanted).error() == PublishError::txt_too_long);
}

TEST_CASE("limit of browsed types") {
  Bench bench;
  std::vector<ServiceType> types;
  for (std::size_t i = 0; i < kBrowsedTypesMax + 10; ++i)
    types.push_back("_t" + std::to_string(i) + "._tcp");
  (*bench.device)->browse(types);
  bench.world.advance(1s);
  std::set<std::string> asked;
  for (const Message& message : bench.from_device())
    for (const dns::Question& q : message.questions)
      asked.insert(q.name.to_string());
  CHECK(asked.size() == kBrowsedTypesMax + 1);  // and the enumeration
}
