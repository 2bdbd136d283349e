// SPDX-License-Identifier: Apache-2.0
// Making and cutting text that may be UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
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

/// Appends a code point. False, and nothing appended, for what is none (RFC 3629 §3).
inline bool append_utf8(std::string& out, std::uint32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  const auto octet = [&](std::uint32_t value) { out += static_cast<char>(value); };
  const auto further = [&](unsigned shift) { octet(0x80 | ((code >> shift) & 0x3f)); };
  if (code < 0x80) {
    octet(code);
  } else if (code < 0x800) {
    octet(0xc0 | (code >> 6));
    further(0);
  } else if (code < 0x10000) {
    octet(0xe0 | (code >> 12));
    further(6);
    further(0);
  } else {
    octet(0xf0 | (code >> 18));
    further(12);
    further(6);
    further(0);
  }
  return true;
}

}  // namespace outrider
