// SPDX-License-Identifier: Apache-2.0
#include "base/health.h"

#include "base/assert.h"

namespace outrider {

const char* to_string(CheckHealth health) {
  switch (health) {
    case CheckHealth::passing:
      return "passing";
    case CheckHealth::warning:
      return "warning";
    case CheckHealth::starting:
      return "starting";
    case CheckHealth::critical:
      return "critical";
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<CheckHealth> parse_check_health(std::string_view text) {
  for (const CheckHealth health :
       {CheckHealth::passing, CheckHealth::warning, CheckHealth::starting, CheckHealth::critical})
    if (text == to_string(health)) return health;
  return std::nullopt;
}

}  // namespace outrider
