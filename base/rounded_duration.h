// SPDX-License-Identifier: Apache-2.0
// Measured durations for people. What is configured is written exactly, by format_duration.
#pragma once

#include <string>

#include "base/time.h"

namespace outrider {

/// Rounded towards zero to what is read at a glance: "902ms", "5.9s", "42s", "2m10s", "3h5m".
/// parse_duration does not read the tenths.
std::string format_rounded(Duration duration);

}  // namespace outrider
