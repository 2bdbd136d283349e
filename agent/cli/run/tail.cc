// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/tail.h"

namespace outrider::cli::beside {
namespace {

/// Without "ESC [ … letter" and the characters that no line consists of.
std::string without_controls(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\x1b') {
      if (at + 1 < text.size() && text[at + 1] == '[') {
        at += 2;
        while (at < text.size() && (text[at] < '@' || text[at] > '~'))
          ++at;
      }
      continue;
    }
    if (text[at] == '\t')
      out += "    ";
    else if (static_cast<unsigned char>(text[at]) >= 0x20)
      out += text[at];
  }
  return out;
}

}  // namespace

void Tail::add(std::string_view bytes) {
  for (const char c : bytes)
    if (c == '\n')
      end_line();
    else if (line_.size() < kTailLineBytesMax)
      line_ += c;
}

void Tail::end_line() {
  std::string line = without_controls(line_);
  line_.clear();
  if (line.find_first_not_of(' ') == std::string::npos) return;
  lines_.push_back(std::move(line));
  if (lines_.size() > kTailLines) lines_.pop_front();
}

std::vector<std::string> Tail::lines() const {
  Tail whole = *this;
  whole.end_line();
  return {whole.lines_.begin(), whole.lines_.end()};
}

void HeldLines::add(std::string_view lines) {
  text_ += lines;
  while (text_.size() > kHeldBytesMax) {
    const std::size_t end = text_.find('\n');
    text_.erase(0, end == std::string::npos ? end : end + 1);
  }
}

}  // namespace outrider::cli::beside
