// SPDX-License-Identifier: Apache-2.0
// Cutting text that may be UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace outrider {

/// At most `most` octets from the front, without half a character at the end.
constexpr std::string_view cut_text(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  // Within a character: its further octets are 10xxxxxx, at most three of them (RFC 3629 §3).
  std::size_t end = most;
  while (end > 0 && most - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  const bool found = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
  return text.substr(0, found ? end : most);
}

/// The same in place.
inline void cut_text_to(std::string& text, std::size_t most) {
  text.resize(cut_text(text, most).size());
}

}  // namespace outrider
