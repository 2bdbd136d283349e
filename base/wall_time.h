// SPDX-License-Identifier: Apache-2.0
// Reads what format_wall_time (time.h) writes, and other forms of RFC 3339.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"

namespace outrider {

/// "2026-01-31T09:30:00.123Z", "2026-01-31 10:30:00+01:00": up to 9 decimals, years 1970 to 2199.
/// Nothing for anything else. A leap second counts as the second after it.
std::optional<WallTime> parse_wall_time(std::string_view text);

}  // namespace outrider
