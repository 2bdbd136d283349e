// SPDX-License-Identifier: Apache-2.0
// The directory in which agents of this user keep their sockets and token, and the search for
// sockets.
#pragma once

#include <string>
#include <vector>

namespace outrider {

/// Agents of one user take agent.sock, agent-2.sock, …
inline constexpr unsigned kSocketsMax = 64;

/// $RUNTIME_DIRECTORY (systemd), else $XDG_RUNTIME_DIR/outrider, else /run/outrider for root, else
/// /tmp/outrider-UID.
std::string runtime_dir();
/// Creates it with mode 0750 unless it exists; false when that fails or another user owns it.
bool make_runtime_dir(const std::string& path);
/// The names that an agent tries in turn.
std::string socket_path(const std::string& dir, unsigned number);
/// Existing sockets: of this user first, then of the host.
std::vector<std::string> find_sockets();

}  // namespace outrider
