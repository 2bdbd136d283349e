// SPDX-License-Identifier: Apache-2.0
// What every command writes through: text and JSON to standard output, errors to standard error.
// Names and texts come from the network, so everything untrusted is escaped here.
#pragma once

#include <string>
#include <string_view>

#include "agent/cli/cli.h"

namespace outrider::cli {

/// Writes `text` to standard output as it is; the caller has escaped it.
void print(std::string_view text);
/// Writes "outrider: `message`" to standard error, escaped; returns `code`.
int complain(std::string_view message, Exit code);

enum class Tint { plain, good, fair, bad, faint, strong };
/// `text`, escaped, in colour if stdout is a terminal and NO_COLOR is not set.
std::string tinted(std::string_view text, Tint tint);
/// The colour of a health.
Tint tint_of(std::string_view health);

/// JSON that a terminal shows rather than obeys: DEL, C1 controls and the marks that change the
/// direction of writing become \uXXXX, which means the same.
std::string shown_json(std::string_view text);
void print_json(std::string_view text);

}  // namespace outrider::cli
