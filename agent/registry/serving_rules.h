// SPDX-License-Identifier: Apache-2.0
// What the configuration decides about which instances are served (served.h applies it).
#pragma once

#include <cstdint>

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

}  // namespace outrider::registry
