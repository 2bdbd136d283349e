// SPDX-License-Identifier: Apache-2.0
// One escape of percent-encoding (RFC 3986 §2.1); whole texts: base/text.h, targets of requests:
// base/http/text.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace outrider {

/// The octet of the escape ("%2F") that `text` begins with; nullopt if it begins with none.
std::optional<std::uint8_t> percent_octet(std::string_view text);

}  // namespace outrider
