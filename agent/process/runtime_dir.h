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
/// /tmp/outrider-UID. An XDG_RUNTIME_DIR of another user, as sudo may hand it on, does not count.
std::string runtime_dir();
/// The same without the environment, for agents in programs that are not ours: /run/outrider for
/// root, else /run/user/UID/outrider, or /tmp/outrider-UID where the user has no such folder.
std::string usual_runtime_dir();
/// Creates it with mode 0750 unless it exists; false when that fails, another user owns it, or its
/// sockets would not be used (look_for_sockets). An empty one that another user has left in a
/// directory of this user is replaced.
bool make_runtime_dir(const std::string& path);
/// The names that an agent tries in turn.
std::string socket_path(const std::string& dir, unsigned number);

/// Where the host's agents keep theirs: outrider.service here, outrider@NAME in a folder NAME.
inline constexpr const char* kSystemRuntimeDir = "/run/outrider";
/// Folders NAME that are looked into.
inline constexpr std::size_t kNamedAgentsMax = 64;

struct FoundSockets {
  std::vector<std::string> sockets;  // of this user first, then of the host, then by NAME
  std::vector<std::string> closed;   // runtime directories that this user may not enter
  std::string passed_over;  // why those in own_dir are not used, a sentence; empty: they are
};
/// Of `own_dir`, only if that is a directory which no other user but root can have made or write
/// to: in /tmp anyone can make one and play this user's agent. Only root makes `system_dir`.
FoundSockets look_for_sockets(const std::string& own_dir, const std::string& system_dir);

}  // namespace outrider
