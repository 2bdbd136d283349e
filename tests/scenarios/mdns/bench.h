// SPDX-License-Identifier: Apache-2.0
// One responder on one link, and a tester that speaks to it in single messages.
#pragma once

#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "mdns/service_name.h"
#include "tests/mdns/peer.h"

namespace outrider::mdns {

inline constexpr const char* kInstance = "hello._hello._tcp.local.";
inline constexpr const char* kType = "_hello._tcp.local.";
inline constexpr const char* kServices = "_services._dns-sd._udp.local.";
inline constexpr const char* kTester = "192.168.1.9";

struct Bench {
  explicit Bench(std::uint64_t seed = 1, NativeOptions options = options_for("box"),
                 std::vector<std::string> prefixes = {"192.168.1.2/24"})
      : world(seed), lan(world.link("lan")), box(world.host("box")) {
    box.attach("eth0", lan, prefixes);
    device = std::make_unique<Peer>(box, options);
  }

  /// Published, announced twice, and quiet for longer than any of its rules looks back.
  void settle(const Announcement& wanted = hello()) {
    REQUIRE((*device)->publish(1, wanted).has_value());
    world.advance(12s);
    REQUIRE(device->announced.contains(1));
    lan.clear_capture();
  }

  std::string host() const { return (*device)->host() + "."; }
  void ask(std::vector<dns::Question> questions, std::vector<dns::Record> known = {},
           const std::string& from = kTester, std::uint16_t port = 5353) {
    Sent sent;
    sent.questions = std::move(questions);
    sent.answers = std::move(known);
    inject(lan, from, sent, port);
  }
  void say(std::vector<dns::Record> answers, const std::string& from = kTester,
           std::uint16_t port = 5353) {
    Sent sent;
    sent.flags.response = sent.flags.authoritative = true;
    sent.answers = std::move(answers);
    inject(lan, from, sent, port);
  }

  /// What the device has put on the wire over IPv4.
  std::vector<Message> from_device(const std::function<bool(const Message&)>& wanted = {}) {
    return messages(lan, [&](const Message& m) {
      return m.host == "box" && m.from.address.is_v4() && (!wanted || wanted(m));
    });
  }
  std::vector<Message> responses() {
    return from_device([](const Message& m) { return m.response(); });
  }
  std::vector<Message> probes() { return from_device(is_probe); }

  sim::World world;
  sim::Link& lan;
  sim::Host& box;
  std::unique_ptr<Peer> device;
};

inline bool has(const std::vector<dns::Record>& section, const std::string& owner,
                dns::RrType type) {
  const dns::Name wanted = name(owner);
  return std::any_of(section.begin(), section.end(),
                     [&](const dns::Record& r) { return r.type == type && r.name == wanted; });
}

}  // namespace outrider::mdns
