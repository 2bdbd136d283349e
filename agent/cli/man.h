// SPDX-License-Identifier: Apache-2.0
// The generated parts of the manual pages, in mdoc(7): commands, options and log events from their
// tables. tests/agent/cli compares them with man/*.
#pragma once

#include <string>
#include <string_view>

namespace outrider::cli {

/// The list of commands with their options, for outrider.1.
std::string man_commands();
/// The list of configuration options, for outrider.json.5.
std::string man_options();
/// The list of log events, for outrider-agent.8.
std::string man_events();
/// `page` with the lines between `.\" BEGIN GENERATED` and `.\" END GENERATED` replaced; empty if
/// it does not have these two lines.
std::string with_generated(std::string_view page, std::string_view generated);

}  // namespace outrider::cli
