// SPDX-License-Identifier: Apache-2.0
// The last lines of a program's standard error, and lines of ours that wait for it. Pure.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrider::cli::beside {

inline constexpr std::size_t kTailLines = 5;
/// Octets of a line that are kept; its beginning.
inline constexpr std::size_t kTailLineBytesMax = 400;

class Tail {
 public:
  void add(std::string_view bytes);
  /// Without blank lines, escape sequences of terminals and ends of lines; oldest first.
  std::vector<std::string> lines() const;

 private:
  void end_line();

  std::deque<std::string> lines_;
  std::string line_;  // the unfinished one
};

/// Octets of our own lines that are held back; older lines are left out.
inline constexpr std::size_t kHeldBytesMax = 16U << 10;

/// What is written when the program does not draw on the whole screen any more.
class HeldLines {
 public:
  /// Whole lines.
  void add(std::string_view lines);
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

}  // namespace outrider::cli::beside
