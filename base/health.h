// SPDX-License-Identifier: Apache-2.0
// The health of one check, as the prober judges it and the registry stores it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace outrider {

/// In order of severity: the worst of several checks is their maximum.
enum class CheckHealth : std::uint8_t { passing, warning, starting, critical };
const char* to_string(CheckHealth health);
std::optional<CheckHealth> parse_check_health(std::string_view text);

}  // namespace outrider
