// SPDX-License-Identifier: Apache-2.0
// Small helpers for text: ASCII case, and lines and words of files that people and kernels write.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outrider {

/// ASCII only, whatever the locale.
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
std::string lowered(std::string_view text);
/// Equal but for ASCII case.
bool equal_fold(std::string_view a, std::string_view b);

/// Takes the first line from `text`, without its end; nothing if there is none.
std::optional<std::string_view> take_line(std::string_view& text);
/// Takes the first word, between blanks; empty if there is none.
std::string_view take_word(std::string_view& line);

/// "1 service", "2 services", "16,384 services"; after s, "es": "2 passes".
std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace outrider
