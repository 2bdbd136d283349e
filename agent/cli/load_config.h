// SPDX-License-Identifier: Apache-2.0
// The configuration of a process: files, its environment and --set, judged as a whole by
// make_config().
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/config.h"

namespace outrider::cli {

/// Reads `paths` (--config), the environment and `sets` (--set), and adds the sockets that a
/// service manager has bound for this process. The error is a sentence.
Result<Config, std::string> read_whole_config(const std::vector<std::string>& paths,
                                              const std::vector<std::string>& sets);
/// The same for a process with these variables, and without sockets.
using Variables = std::vector<std::pair<std::string, std::string>>;
Result<Config, std::string> read_whole_config(const std::vector<std::string>& paths,
                                              const std::vector<std::string>& sets,
                                              Variables variables);
/// The first one; prints the error to stderr.
std::optional<Config> load_config(const std::vector<std::string>& paths,
                                  const std::vector<std::string>& sets);

/// A check that the agent would not probe on this host as it is now: a sentence, with its place.
/// The agent itself starts with it, for addresses come and go.
std::optional<std::string> unreachable_check(const Config& config);

}  // namespace outrider::cli
