// SPDX-License-Identifier: Apache-2.0
// Comments in configuration files, as in C++: from // to the end of the line, and /* to */. Only
// files of people have them; JSON that programs exchange (RFC 8259) does not.
#pragma once

#include <string>
#include <string_view>

namespace outrider {

/// The text with spaces in the place of comments, so that lines and columns of errors stay right.
/// A comment that does not end is left in, for the parser to refuse.
std::string without_comments(std::string_view text);

}  // namespace outrider
