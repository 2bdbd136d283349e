// SPDX-License-Identifier: Apache-2.0
// Base64 with the standard alphabet and padding (RFC 4648 §4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace outrider {

std::string base64_encode(std::string_view octets);
/// Strict: no blanks, no missing padding, no bits behind the end (RFC 4648 §3.5).
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace outrider
