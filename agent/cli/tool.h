// SPDX-License-Identifier: Apache-2.0
// Other programs of the host that commands run: systemctl, journalctl. Without a shell, so that a
// name among the words means nothing but itself.
#pragma once

#include <string>
#include <vector>

namespace outrider::cli {

inline constexpr std::size_t kToolOutputBytesMax = 256U << 10;

/// Runs a program and waits for it; true if it exits with 0.
bool run_tool(const std::vector<std::string>& words);
/// The same; what it writes to standard output, up to kToolOutputBytesMax. Nothing of what it
/// complains about is seen. Empty if it cannot be run.
std::string output_of_tool(const std::vector<std::string>& words);

}  // namespace outrider::cli
