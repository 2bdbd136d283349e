// SPDX-License-Identifier: Apache-2.0
// What the configuration decides about which instances are served (served.h applies it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace outrider::registry {

/// What to answer for a service none of whose instances is healthy.
enum class AllUnhealthy : std::uint8_t {
  nodata,       // the name exists and has no records
  last_resort,  // its critical instances
  nxdomain,     // the name does not exist
};

struct ServingRules {
  AllUnhealthy all_unhealthy = AllUnhealthy::nodata;
  bool only_passing = false;  // leave out instances with warnings
};

/// Services whose own name has the addresses of this host's bridge instead of those of the
/// instances: for clients that know no port but 80.
struct Bridged {
  std::vector<IpAddress> addresses;  // where the bridge has port 80; empty: nowhere, and all is off
  std::vector<std::string> labels;   // of services; "*": all
};

/// The metadata by which a registration asks for it.
inline constexpr std::string_view kBridgeKey = "bridge";

}  // namespace outrider::registry
