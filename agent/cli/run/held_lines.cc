// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/held_lines.h"

namespace outrider::cli::beside {

void HeldLines::add(std::string_view lines) {
  text_ += lines;
  while (text_.size() > kHeldBytesMax) {
    const std::size_t end = text_.find('\n');
    text_.erase(0, end == std::string::npos ? end : end + 1);
  }
}

}  // namespace outrider::cli::beside
