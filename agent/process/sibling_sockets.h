// SPDX-License-Identifier: Apache-2.0
// The control sockets of the agents on this host, and news of them.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/uv/loop.h"
#include "registries/host/host_engine.h"

namespace outrider {

/// Folders that are watched at once: the run-time directories, and those of named agents.
inline constexpr std::size_t kSocketFoldersMax = 64;

/// For look_for_sockets() with the same directories. Of one that does not exist, the nearest folder
/// above it.
std::set<std::string> folders_to_watch(const std::string& own_dir, const std::string& system_dir);

/// Looks in `runtime_dir`, which is made if that is wanted, and in kSystemRuntimeDir. `loop`
/// outlives it. Folders that do not exist are waited for
/// without polling.
enum class MakeRuntimeDir : std::uint8_t { no, yes };
registries::SiblingSockets sibling_sockets(uv::Loop& loop, const std::string& runtime_dir,
                                           MakeRuntimeDir make);

}  // namespace outrider
