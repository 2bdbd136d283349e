// SPDX-License-Identifier: Apache-2.0
// Times as people on this host write and read them: in the local time zone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace outrider::cli {

/// "12:03", "12:03:10" or "12:03:10.250": the last time that a local clock showed this; or a time
/// of RFC 3339; or how long ago ("5m").
std::optional<WallTime> parse_local_moment(std::string_view text, WallTime now);
/// "12:03:10.250"; with the date in front if that is not the day of `now`.
std::string local_text(WallTime when, WallTime now);
WallTime wall_now();

}  // namespace outrider::cli
