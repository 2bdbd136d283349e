// SPDX-License-Identifier: Apache-2.0
// Small helpers for text: ASCII case, numbers, lists, and lines and words of files that people and
// kernels write.
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace outrider {

/// ASCII only, whatever the locale.
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
std::string lowered(std::string_view text);
/// Equal but for ASCII case.
bool equal_fold(std::string_view a, std::string_view b);

/// Octets that `keep` refuses, and "%", become %XX (RFC 3986 §2.1).
template <class Keep>
std::string percent_encode(std::string_view text, Keep keep) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c != '%' && keep(c))
      out += c;
    else
      out += {'%', kHex[octet >> 4], kHex[octet & 15U]};
  }
  return out;
}
/// What looks like an escape and is none stays as it is.
std::string percent_decode(std::string_view text);

/// The whole text as a decimal number; nullopt if it has other characters or does not fit.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// The elements with `separator` between them; `text_of` makes text of an element.
template <std::ranges::input_range Range, class TextOf = std::identity>
std::string join(const Range& elements, std::string_view separator, TextOf text_of = {}) {
  std::string out;
  bool first = true;
  for (const auto& element : elements) {
    if (!std::exchange(first, false)) out += separator;
    out += std::invoke(text_of, element);
  }
  return out;
}

inline std::string join(std::initializer_list<std::string_view> elements,
                        std::string_view separator) {
  return join<std::initializer_list<std::string_view>>(elements, separator);
}

/// Replaces every `what`, which must not be empty, by `with`, which is not searched again.
std::string replace_all(std::string text, std::string_view what, std::string_view with);

/// Up to the first line break.
std::string_view first_line(std::string_view text);

/// Takes the first line from `text`, without its end; nullopt if there is none.
std::optional<std::string_view> take_line(std::string_view& text);
/// Takes the first word, between blanks; empty if there is none.
std::string_view take_word(std::string_view& line);

/// "1 service", "2 services", "16,384 services"; after s, "es": "2 passes".
std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace outrider
