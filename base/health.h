// SPDX-License-Identifier: Apache-2.0
// The health of one check, as the prober judges it and the registry stores it, and that of an
// instance, as its own agent and those that read of it say it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace outrider {

/// In order of severity: the worst of several checks is their maximum.
enum class CheckHealth : std::uint8_t { passing, warning, starting, critical };
const char* to_string(CheckHealth health);
std::optional<CheckHealth> parse_check_health(std::string_view text);

/// Of an instance, in order of how usable: what DNS and selection serve is passing and warning.
enum class Health : std::uint8_t { passing, warning, starting, critical, draining, maintenance };
const char* to_string(Health health);
std::optional<Health> parse_health(std::string_view text);
/// For registries that know health only as the sum of checks: passing, warning or critical.
CheckHealth check_health_of(Health health);
inline bool usable(Health health) {
  return health == Health::passing || health == Health::warning;
}

}  // namespace outrider
