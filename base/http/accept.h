// SPDX-License-Identifier: Apache-2.0
// Content negotiation as far as one path has answers for people and for programs. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace outrider::http {

/// Without spaces and tabs around it, as the value of a field is read (RFC 9110 §5.6.3).
std::string_view without_blanks(std::string_view text);

enum class Form : std::uint8_t { text, json, page };
/// By the Accept field (RFC 9110 §12.5.1): the form with the highest weight; a page only where
/// text/html is named, JSON only where application/json is.
Form preferred_form(std::string_view accept);

}  // namespace outrider::http
