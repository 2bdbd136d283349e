// SPDX-License-Identifier: Apache-2.0
// Recognizes our own datagrams when multicast loopback returns them. Other agents of this host send
// from the same address and port, so only the octets tell them apart.
//
// Each datagram sent is remembered by its hash for kEchoLife. One copy is expected on the link on
// which it was sent, and any number on the other links of this host that share its wire.
#pragma once

#include <deque>
#include <unordered_map>

#include "base/bytes.h"
#include "mdns/link.h"
#include "mdns/native/packet.h"

namespace outrider::mdns {

class Echoes {
 public:
  /// `payload` is being sent on the link. Beyond kEchoesMax it is not remembered.
  void expect(TimePoint now, std::uint32_t link, IpAddress::Family family, Bytes payload);
  /// Whether a datagram received on the link is one of ours; it is then expected once less.
  bool take(TimePoint now, const Link& link, const Packet& packet, Bytes payload);
  std::size_t expected() const { return order_.size(); }

 private:
  struct Sent {
    std::unordered_map<std::uint32_t, unsigned> by_link;
    unsigned count = 0;  // in order_
  };

  void prune(TimePoint now);

  std::unordered_map<std::uint64_t, Sent> sent_;
  std::deque<std::pair<TimePoint, std::uint64_t>> order_;  // when each one is forgotten
};

}  // namespace outrider::mdns
