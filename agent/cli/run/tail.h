// SPDX-License-Identifier: Apache-2.0
// The last lines of a program's standard error. Pure.
#pragma once

#include <deque>
#include <string>
#include <string_view>
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

}  // namespace outrider::cli::beside
