// SPDX-License-Identifier: Apache-2.0
// Text of files that people and kernels write, taken apart by lines and words.
#pragma once

#include <optional>
#include <string_view>

namespace outrider {

/// Takes the first line from `text`, without its end; nothing if there is none.
std::optional<std::string_view> take_line(std::string_view& text);
/// Takes the first word, between blanks; empty if there is none.
std::string_view take_word(std::string_view& line);

}  // namespace outrider
