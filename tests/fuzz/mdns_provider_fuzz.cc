// SPDX-License-Identifier: Apache-2.0
// A provider that announces and browses hears one datagram three times: from a neighbour, from a
// legacy resolver, and from another network. It survives, tells whole sightings only, stays within
// its limits, and does not talk without end.
#include "base/assert.h"
#include "mdns/native/native_provider.h"
#include "tests/sim/world.h"

using namespace outrider;

namespace {

constexpr std::uint16_t kPort = 5353;
// Far more than probing, announcing and answering can take in the seconds that a run lasts.
constexpr std::size_t kDatagramsMax = 200;

struct Watcher final : mdns::Provider::Sink {
  void on_announced(mdns::AnnouncementId, const std::string& label) override {
    OUTRIDER_ASSERT(!label.empty() && label.size() <= 63);
  }
  void on_conflict(mdns::AnnouncementId) override {}
  void on_sighting(const mdns::Sighting& sighting) override {
    OUTRIDER_ASSERT(!sighting.addresses.empty() && !sighting.key.label.empty());
  }
  void on_lost(const mdns::SightingKey&, mdns::LostReason) override {}
  void on_state(mdns::ProviderState, const std::string&) override {}
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 9'000) return 0;
  sim::World world;
  sim::Link& lan = world.link("lan");
  sim::Host& box = world.host("box");
  box.attach("eth0", lan, {"192.168.1.2/24"});
  Watcher watcher;
  const auto provider = mdns::make_native_provider(box.env(), {.host = "box"});
  provider->start(watcher);
  provider->browse({"_hello._tcp"});
  OUTRIDER_ASSERT(provider->publish(
      1, {.label = "hello-1", .type = "_hello._tcp", .port = 8080, .txt = {"version=1"}}));
  OUTRIDER_ASSERT(provider->publish(2, {.label = "hello", .type = {}}));
  world.advance(2s);

  const Endpoint group{IpAddress::v4(224, 0, 0, 251), kPort};
  const IpAddress neighbour = IpAddress::v4(192, 168, 1, 9);
  lan.inject({neighbour, kPort}, group, {data, size});
  world.advance(1s);
  lan.inject({neighbour, 40'000}, group, {data, size});
  lan.inject({IpAddress::v4(198, 51, 100, 1), kPort}, group, {data, size});
  world.advance(2s);
  OUTRIDER_ASSERT(lan.capture().size() <= kDatagramsMax);
  provider->stop([] {});
  world.advance(1s);
  return 0;
}
