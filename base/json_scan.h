// SPDX-License-Identifier: Apache-2.0
// Where a text stops being JSON (RFC 8259), and what was expected there. The parser library says
// neither; this scanner is only run on texts that it has refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace outrider::json {

struct Fault {
  std::size_t offset = 0;
  std::string message;
};

/// The first fault; nullopt if the text is well-formed. Limits of size and range are not checked.
std::optional<Fault> find_fault(std::string_view text);

/// Length of the UTF-8 sequence that `text` begins with (RFC 3629: no surrogates, no overlong
/// forms); 0 if it begins with none.
std::size_t utf8_length(std::string_view text);

}  // namespace outrider::json
