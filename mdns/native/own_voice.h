// SPDX-License-Identifier: Apache-2.0
// Whether this host hears itself on its real links. Agents of one host hear each other on a link if
// each hears itself there. Until that is known, and where a firewall drops our datagrams, they meet
// on the loopback: what is for the LAN is announced there too.
#pragma once

#include <map>
#include <optional>

#include "mdns/native/outlet.h"

namespace outrider::mdns {

class OwnVoice {
 public:
  /// A datagram is being sent on the link.
  void on_sent(TimePoint now, const Link& link);
  /// One of our datagrams came back. True if the link was deaf before: agents of this host may know
  /// our claims from the loopback only.
  bool on_heard(TimePoint now, const Link& link);
  void drop_link(std::uint32_t index) { by_link_.erase(index); }
  /// Whether the loopback is needed beside real links.
  bool needs_loopback(TimePoint now, const Links& links);
  /// When needs_loopback() may change without a datagram.
  std::optional<TimePoint> next_due() const;

 private:
  struct State {
    bool heard = false;
    std::optional<TimePoint> unheard_since;   // the first datagram since that did not come back
    std::optional<TimePoint> loopback_until;  // heard again
  };
  std::map<std::uint32_t, State> by_link_;  // real links on which something was sent
};

}  // namespace outrider::mdns
