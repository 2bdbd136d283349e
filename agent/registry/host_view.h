// SPDX-License-Identifier: Apache-2.0
// This host as its peers see it: what decides which addresses are served and which are near.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"

namespace outrider::registry {

struct HostView {
  std::string name;  // of the machine
  /// Addresses of usable interfaces, preferred first; no loopback, no link-local IPv6.
  std::vector<IpAddress> addresses;
  /// Subnets of interfaces that are up, each with the address of this host in it.
  std::vector<Prefix> subnets;
  std::vector<std::uint32_t> interfaces;  // of the subnets, one each; empty: not known
  std::string node;                       // node_name() of this host; empty: `name`
  bool operator==(const HostView&) const = default;
};

}  // namespace outrider::registry
