// SPDX-License-Identifier: Apache-2.0
// The processes that this process has started, and those that they have started in turn.
#pragma once

#include <cstdint>
#include <vector>

namespace outrider {

/// Descendants that are looked at.
inline constexpr std::size_t kDescendantsMax = 256;

/// Living descendants, parents first; empty where /proc does not tell. A process whose parent has
/// ended is among them only if orphans are adopted (base/uv/loop.h).
std::vector<std::int64_t> descendants();

}  // namespace outrider
