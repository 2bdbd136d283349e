// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace outrider::cli {

/// For "bash", "zsh" or "fish"; empty for any other.
std::string completion_script(std::string_view shell);

}  // namespace outrider::cli
