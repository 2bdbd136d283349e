// SPDX-License-Identifier: Apache-2.0
// Lines of ours that wait until the program does not draw on the whole screen any more. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace outrider::cli::beside {

/// Octets of lines that are held back; older lines are left out.
inline constexpr std::size_t kHeldBytesMax = 16U << 10;

class HeldLines {
 public:
  /// Whole lines.
  void add(std::string_view lines);
  std::string take() { return std::exchange(text_, {}); }

 private:
  std::string text_;
};

}  // namespace outrider::cli::beside
