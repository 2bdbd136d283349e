// SPDX-License-Identifier: Apache-2.0
// Questions with long lists of known answers, over several datagrams (RFC 6762 §7.2): in bursts,
// so that they overrun neither the link nor the receive buffers of the neighbours.
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
  /// Now, or behind what waits already; not at all, if that is too much: questions come again.
  void send(TimePoint now, const Link& link, IpAddress::Family family, Bytes payload,
            Outlet& outlet);
  /// Datagrams of known answers that may be added.
  std::size_t room(const Link& link, IpAddress::Family family) const;
  void run(TimePoint now, const Links& links, Outlet& outlet);
  std::optional<TimePoint> next_due() const;

 private:
  struct Queue {
    std::deque<std::vector<std::uint8_t>> waiting;
    TimePoint next{};      // when another burst may begin
    std::size_t sent = 0;  // of this one
  };
  using Key = std::pair<std::uint32_t, IpAddress::Family>;
  std::map<Key, Queue> queues_;  // at most kLinksMax times two
};

}  // namespace outrider::mdns
