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

const char* to_string(Health health) {
  switch (health) {
    case Health::passing:
      return "passing";
    case Health::warning:
      return "warning";
    case Health::starting:
      return "starting";
    case Health::critical:
      return "critical";
    case Health::draining:
      return "draining";
    case Health::maintenance:
      return "maintenance";
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<Health> parse_health(std::string_view text) {
  for (const Health health : {Health::passing, Health::warning, Health::starting, Health::critical,
                              Health::draining, Health::maintenance})
    if (text == to_string(health)) return health;
  return std::nullopt;
}

CheckHealth check_health_of(Health health) {
  switch (health) {
    case Health::passing:
      return CheckHealth::passing;
    case Health::warning:
      return CheckHealth::warning;
    case Health::starting:
    case Health::critical:
    case Health::draining:
    case Health::maintenance:
      return CheckHealth::critical;
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace outrider
