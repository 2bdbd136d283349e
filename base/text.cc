// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <algorithm>

#include "base/percent.h"

namespace outrider {

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

bool equal_fold(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<std::uint8_t> percent_octet(std::string_view text) {
  if (text.size() < 3 || text.front() != '%') return std::nullopt;
  std::uint8_t octet = 0;
  const char* const end = text.data() + 3;
  if (std::from_chars(text.data() + 1, end, octet, 16).ptr != end) return std::nullopt;
  return octet;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto octet = percent_octet(text.substr(at));
    out += octet ? static_cast<char>(*octet) : text[at];
    if (octet) at += 2;
  }
  return out;
}

std::string replace_all(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

std::optional<std::string_view> take_line(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

std::string_view take_word(std::string_view& line) {
  constexpr std::string_view kBlanks = " \t\r";
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlanks));
  line.remove_prefix(word.size());
  return word;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  std::string out = std::to_string(count);
  for (std::size_t at = out.size(); at > 3;)
    out.insert(at -= 3, 1, ',');
  out += ' ';
  out += noun;
  if (count != 1) out += noun.ends_with('s') ? "es" : "s";
  return out;
}

}  // namespace outrider
