// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/page/html.h"

#include <algorithm>
#include <array>
#include <utility>

namespace outrider::doors::page {
namespace {

struct Character {
  std::uint32_t code;
  std::size_t size;
};

constexpr std::uint32_t kNoCharacter = 0xfffd;

/// The first character (RFC 3629 §3), or an octet that begins none.
Character first_character(std::string_view text) {
  const auto octet = [&](std::size_t i) {
    return i < text.size() ? static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])) : 0U;
  };
  const auto is_further = [&](std::size_t i) { return (octet(i) & 0xc0) == 0x80; };
  const std::uint32_t lead = octet(0);
  if ((lead & 0xe0) == 0xc0 && is_further(1)) return {(lead & 0x1f) << 6 | (octet(1) & 0x3f), 2};
  if ((lead & 0xf0) == 0xe0 && is_further(1) && is_further(2))
    return {(lead & 0x0f) << 12 | (octet(1) & 0x3f) << 6 | (octet(2) & 0x3f), 3};
  if ((lead & 0xf8) == 0xf0 && is_further(1) && is_further(2) && is_further(3))
    return {
        (lead & 0x07) << 18 | (octet(1) & 0x3f) << 12 | (octet(2) & 0x3f) << 6 | (octet(3) & 0x3f),
        4};
  return {lead < 0x80 ? lead : kNoCharacter, 1};
}

/// Shown as it is.
bool is_plain(char c) {
  return c >= ' ' && c < '\x7f' && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';
}

bool is_invisible(std::uint32_t code) {
  constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 9> kRanges{{
      {0x00, 0x1f},      // controls
      {0x7f, 0x9f},      // DEL and C1
      {0xad, 0xad},      // soft hyphen
      {0x61c, 0x61c},    // Arabic letter mark
      {0x200b, 0x200f},  // zero widths, directional marks
      {0x2028, 0x202e},  // separators, embeddings and overrides
      {0x2060, 0x2064},  // invisible operators
      {0x2066, 0x206f},  // isolates
      {0xfeff, 0xfeff},  // byte order mark
  }};
  for (const auto& [first, last] : kRanges)
    if (code >= first && code <= last) return true;
  return false;
}

/// "[U+202E]"
std::string marked(std::uint32_t code) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "[U+";
  for (unsigned shift = 16; shift > 0; shift -= 4)
    out += kHex[(code >> (shift - 4)) & 15U];
  return out + ']';
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    // Nearly all text is of such characters alone.
    const auto plain = std::ranges::find_if_not(text, is_plain) - text.begin();
    if (plain > 0) {
      out += text.substr(0, static_cast<std::size_t>(plain));
      text.remove_prefix(static_cast<std::size_t>(plain));
      continue;
    }
    const Character next = first_character(text);
    switch (next.code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:  // any other character
        if (is_invisible(next.code))
          out += marked(next.code);
        else
          out += text.substr(0, next.size);
    }
    text.remove_prefix(next.size);
  }
  return out;
}

}  // namespace outrider::doors::page
