// SPDX-License-Identifier: Apache-2.0
#include "tests/mdns/peer.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "mdns/service_name.h"

namespace outrider::mdns {

Peer::Peer(sim::Host& host, NativeOptions options)
    : host_(host), provider_(make_native_provider(host.env(), options)) {
  provider_->start(*this);
}

Peer::~Peer() = default;

void Peer::on_announced(AnnouncementId id, const std::string& label) {
  announced[id] = label;
  log.push_back("announced " + label);
}
void Peer::on_conflict(AnnouncementId id) {
  conflicts.push_back(id);
  log.push_back("conflict");
}
void Peer::on_sighting(const Sighting& sighting) {
  CHECK_FALSE(sighting.addresses.empty());
  CHECK(sighting.port != 0);
  sightings[sighting.key] = sighting;
  log.push_back("sighting " + sighting.key.label);
}
void Peer::on_lost(const SightingKey& key, LostReason reason) {
  CHECK(sightings.erase(key) == 1);
  lost[key] = reason;
  log.push_back("lost " + key.label + " " + to_string(reason));
}
void Peer::on_state(ProviderState now, const std::string& reason) {
  state = now;
  why = reason;
}

const Sighting* Peer::sees(const std::string& label, const ServiceType& type) const {
  const auto found = sightings.find({type, label});
  return found == sightings.end() ? nullptr : &found->second;
}

std::size_t Peer::count(const std::string& line) const {
  return static_cast<std::size_t>(std::count(log.begin(), log.end(), line));
}

void Peer::stop() {
  provider_->stop([this] { stopped = true; });
}

NativeOptions options_for(const std::string& host) {
  NativeOptions options;
  options.host = host;
  options.cookie = "cookie of " + host;
  return options;
}

Announcement hello(const std::string& label, std::uint16_t port) {
  Announcement out;
  out.label = label;
  out.type = "_hello._tcp";
  out.port = port;
  out.txt = {"version=1", "farp.enabled=true"};
  return out;
}

sim::Host& TwoHosts::attach(sim::Host& host, sim::Link& lan, const Prefixes& prefixes) {
  host.attach("eth0", lan, prefixes);
  return host;
}

TwoHosts::TwoHosts(const Prefixes& alices, const Prefixes& bobs)
    : world(7),
      lan(world.link("lan")),
      a(attach(world.host("a"), lan, alices)),
      b(attach(world.host("b"), lan, bobs)),
      alice(a, options_for("a")),
      bob(b, options_for("b")) {}

void TwoHosts::meet(const Announcement& wanted) {
  REQUIRE(alice->publish(1, wanted).has_value());
  REQUIRE(world.run_until([&] { return bob.sees(wanted.label) != nullptr; }, 3s));
}

std::vector<Message> messages(const sim::Link& link,
                              const std::function<bool(const Message&)>& wanted) {
  std::vector<Message> out;
  for (const sim::WireDatagram& datagram : link.capture()) {
    const bool injected = datagram.host.empty();
    auto message = decode(datagram.payload, injected);
    if (injected && !message) continue;  // damage
    REQUIRE(message.has_value());
    message->at = datagram.at;
    message->host = datagram.host;
    message->from = datagram.from;
    message->to = datagram.to;
    message->hop_limit = datagram.hop_limit;
    if (!wanted || wanted(*message)) out.push_back(std::move(*message));
  }
  return out;
}

void inject(sim::Link& link, const std::string& from, const Sent& message, std::uint16_t port) {
  const auto bytes = encode(message);
  link.inject({*IpAddress::parse(from), port}, {IpAddress::v4(224, 0, 0, 251), 5353}, bytes);
}

}  // namespace outrider::mdns
