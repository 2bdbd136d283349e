// SPDX-License-Identifier: Apache-2.0
// The control sockets of the agents on this host, and news of them.
#pragma once

#include "base/uv/loop.h"
#include "registries/host/host_engine.h"

namespace outrider {

/// Folders that are watched at once: the run-time directories, and those of named agents.
inline constexpr std::size_t kSocketFoldersMax = 64;

/// Looks where find_sockets() does. `loop` outlives it. Folders that do not exist are waited for
/// without polling.
registries::SiblingSockets sibling_sockets(uv::Loop& loop);

}  // namespace outrider
