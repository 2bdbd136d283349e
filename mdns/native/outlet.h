// SPDX-License-Identifier: Apache-2.0
// What the state machines see of the network: the links, and where datagrams go.
#pragma once

#include "mdns/link.h"

namespace outrider::mdns {

/// Where the state machines put datagrams.
class Outlet {
 public:
  virtual void multicast(const Link& link, IpAddress::Family family, Bytes payload) = 0;
  virtual void unicast(const Link& link, const Endpoint& to, Bytes payload) = 0;

 protected:
  ~Outlet() = default;
};

struct Links {
  std::vector<Link> all;
  const Link* find(std::uint32_t index) const {
    for (const Link& link : all)
      if (link.index == index) return &link;
    return nullptr;
  }
};

/// A link and a family.
using ChannelId = std::uint64_t;
inline ChannelId channel_id(const Link& link, IpAddress::Family family) {
  return std::uint64_t{link.index} * 2 + (family == IpAddress::Family::v6 ? 1 : 0);
}

}  // namespace outrider::mdns
