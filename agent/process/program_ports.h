// SPDX-License-Identifier: Apache-2.0
// Where the programs that this process has started listen.
#pragma once

#include <cstdint>
#include <vector>

#include "base/address.h"

namespace outrider {

/// TCP ports on which descendants of this process listen, in order; empty where /proc or the kernel
/// does not tell.
std::vector<std::uint16_t> program_ports();

}  // namespace outrider
