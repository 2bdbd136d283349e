// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "agent/config/config.h"

namespace outrider::cli {

/// Files that the configuration names and that cannot be read now, each with its option and the
/// reason. They may be made before the agent needs them, so this is no error.
std::vector<std::string> missing_files(const Config& config);

}  // namespace outrider::cli
