// SPDX-License-Identifier: Apache-2.0
// For bodies of clients whose server is written in Go: its JSON reader takes keys that occur twice.
#pragma once

#include "base/json.h"

namespace outrider::json {

/// As parse(), but of equal keys the last counts, and keys that differ by case are different. What
/// looks for a member in any case takes the last one that fits, as Go does.
Result<Value, ParseError> parse_repeated(std::string_view text, std::size_t bytes_max);

}  // namespace outrider::json
