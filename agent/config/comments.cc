// SPDX-License-Identifier: Apache-2.0
#include "agent/config/comments.h"

#include <algorithm>

namespace outrider {
namespace {

/// The end of the string that begins at `begin` with a quote; its last quote is before it.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  std::size_t at = begin + 1;
  while (at < text.size() && text[at] != '"')
    at += text[at] == '\\' ? 2 : 1;
  return std::min(at + 1, text.size());
}

/// The end of the comment that begins at `begin`; `begin` if none begins there or it does not end.
std::size_t end_of_comment(std::string_view text, std::size_t begin) {
  const std::string_view mark = text.substr(begin, 2);
  if (mark == "//") return std::min(text.find('\n', begin), text.size());
  if (mark != "/*") return begin;
  const std::size_t last = text.find("*/", begin + 2);
  return last == std::string_view::npos ? begin : last + 2;
}

}  // namespace

std::string without_comments(std::string_view text) {
  std::string out(text);
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    const std::size_t end = end_of_comment(text, at);
    for (std::size_t i = at; i < end; ++i)
      if (out[i] != '\n') out[i] = ' ';
    at = std::max(end, at + 1);
  }
  return out;
}

}  // namespace outrider
