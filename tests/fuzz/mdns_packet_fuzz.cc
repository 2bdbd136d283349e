// SPDX-License-Identifier: Apache-2.0
// A provider that announces and browses hears datagrams made of the input: each is a length of two
// octets, one octet (low bit: from port 5353; next two: the sender), and the payload. Whatever they
// say, what it tells is whole, nothing is left over, and it still answers for itself.
#include <algorithm>

#include "base/assert.h"
#include "dns/wire/message_builder.h"
#include "mdns/native/native_provider.h"
#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

class Ear final : public Provider::Sink {
 public:
  std::string label;

 private:
  void on_announced(AnnouncementId, const std::string& now) override { label = now; }
  void on_conflict(AnnouncementId) override { label.clear(); }
  void on_sighting(const Sighting& sighting) override {
    OUTRIDER_ASSERT(!sighting.addresses.empty() && sighting.port != 0);
    OUTRIDER_ASSERT(!sighting.key.label.empty() && !sighting.host.empty());
  }
  void on_lost(const SightingKey&, LostReason) override {}
  void on_state(ProviderState, const std::string&) override {}
};

bool answers(sim::World& world, sim::Link& lan, const std::string& label) {
  std::vector<std::uint8_t> buffer(512);
  dns::MessageBuilder builder(buffer, dns::WireProfile::multicast);
  const auto name = dns::Name::from_labels({label, "_hello", "_tcp", "local"});
  OUTRIDER_ASSERT(name && builder.add_question({*name, dns::RrType::srv}));
  lan.clear_capture();
  lan.inject({IpAddress::v4(10, 0, 0, 77), 5353}, {IpAddress::v4(224, 0, 0, 251), 5353},
             builder.finish());
  world.advance(1500ms);
  return std::ranges::any_of(lan.capture(), [](const sim::WireDatagram& datagram) {
    const auto view = dns::MessageView::parse(datagram.payload);
    return !datagram.host.empty() && view && view->header().flags.response;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sim::World world(1);
  sim::Link& lan = world.link("lan");
  sim::Host& box = world.host("box");
  box.attach("eth0", lan, {"10.0.0.2/24"});
  Ear ear;
  auto provider = make_native_provider(box.env(), {});
  provider->start(ear);
  provider->browse({"_hello._tcp", "_farp._tcp"});
  Announcement wanted;
  wanted.label = "hello";
  wanted.type = "_hello._tcp";
  wanted.port = 80;
  OUTRIDER_ASSERT(provider->publish(1, wanted).has_value());
  if (size % 2 == 0) world.advance(3s);  // else they come while it probes

  ByteReader reader({data, size});
  while (reader.left() > 3) {
    const std::size_t wanted_size = reader.u16();
    const std::uint8_t kind = reader.u8();
    const Bytes payload = reader.take(std::min(wanted_size % 2'048, reader.left()));
    const Endpoint from{IpAddress::v4(10, 0, 0, static_cast<std::uint8_t>(70 + (kind >> 1 & 3))),
                        static_cast<std::uint16_t>((kind & 1) != 0 ? 5353 : 40'000)};
    lan.inject(from, {IpAddress::v4(224, 0, 0, 251), 5353}, payload);
    world.advance(50ms);
  }
  world.advance(4s);
  if (!ear.label.empty()) OUTRIDER_ASSERT(answers(world, lan, ear.label));
  bool stopped = false;
  provider->stop([&] { stopped = true; });
  world.advance(2s);
  OUTRIDER_ASSERT(stopped);
  return 0;
}
