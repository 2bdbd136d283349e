// SPDX-License-Identifier: Apache-2.0
// Sends questions with long lists of known answers, which take several datagrams (RFC 6762 §7.2),
// in bursts, so that they overrun neither the link nor the receive buffers of the neighbours.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "mdns/native/limits.h"
#include "mdns/native/outlet.h"

namespace outrider::mdns {

class Pacer {
 public:
  /// Sends now, or queues behind waiting datagrams. Drops it when the queue is full: questions are
  /// repeated.
  void send(TimePoint now, const Link& link, IpAddress::Family family, Bytes payload,
            Outlet& outlet);
  /// How many datagrams of known answers may be added.
  std::size_t room(const Link& link, IpAddress::Family family) const;
  void run(TimePoint now, const Links& links, Outlet& outlet);
  std::optional<TimePoint> next_due() const;

 private:
  struct Queue {
    std::deque<std::vector<std::uint8_t>> waiting;
    TimePoint next{};      // when the next burst may begin
    std::size_t sent = 0;  // in this burst
  };
  using Key = std::pair<std::uint32_t, IpAddress::Family>;
  std::map<Key, Queue> queues_;  // at most kLinksMax times two
};

}  // namespace outrider::mdns
