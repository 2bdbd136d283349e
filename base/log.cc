// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <algorithm>

#include "base/text.h"

namespace outrider {

const char* to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  OUTRIDER_UNREACHABLE();
}

bool has_only_declared_keys(LogEvent event, LogFields fields) {
  return std::ranges::all_of(fields, [event](const LogField& field) {
    std::string_view keys = spec_of(event).keys;
    for (std::string_view key = take_word(keys); !key.empty(); key = take_word(keys))
      if (key == field.key) return true;
    return false;
  });
}

std::string escape_untrusted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '\\') {
      escaped += c;
    } else {
      escaped += "\\x";
      escaped += kHex[byte >> 4];
      escaped += kHex[byte & 15];
    }
  }
  return escaped;
}

}  // namespace outrider
