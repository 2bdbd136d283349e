// SPDX-License-Identifier: Apache-2.0
// Text from the network as HTML text, or as the value of a quoted attribute.
#pragma once

#include <string>
#include <string_view>

namespace outrider::doors::page {

/// Escapes markup. Characters that do not show but change what a reader sees or what a terminal
/// does (controls, marks of the direction of writing, zero widths) become [U+XXXX].
std::string html_text(std::string_view text);

}  // namespace outrider::doors::page
