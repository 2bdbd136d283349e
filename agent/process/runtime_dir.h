// SPDX-License-Identifier: Apache-2.0
// Where an agent of this user keeps its socket and its token, and where to look for one.
#pragma once

#include <string>
#include <vector>

namespace outrider {

/// Agents of one user beside each other: agent.sock, agent-2.sock, …
inline constexpr unsigned kSocketsMax = 64;

/// $RUNTIME_DIRECTORY (systemd), else $XDG_RUNTIME_DIR/outrider, else /run/outrider for root, else
/// /tmp/outrider-UID.
std::string runtime_dir();
/// Creates it, mode 0750, if it is not there; false if it cannot be had or belongs to somebody
/// else.
bool make_runtime_dir(const std::string& path);
/// The names that an agent tries in turn.
std::string socket_path(const std::string& dir, unsigned number);
/// Sockets that are there now, of this user first, then the host's.
std::vector<std::string> find_sockets();

}  // namespace outrider
