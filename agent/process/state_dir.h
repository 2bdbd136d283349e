// SPDX-License-Identifier: Apache-2.0
// Where the registrations of an agent are kept over its restarts.
#pragma once

#include <string>

namespace outrider {

/// In $STATE_DIRECTORY, else in $XDG_STATE_HOME/outrider, else in ~/.local/state/outrider; empty if
/// none is known. Under sudo, a home that belongs to the user who called it is not root's.
std::string state_dir();
/// In `dir`, a state directory; empty if that is. `own` keeps agents with different configurations
/// apart.
std::string state_path(const std::string& dir, const std::string& own);
/// In the same directory: what the etcd door keeps.
std::string etcd_state_path(const std::string& dir, const std::string& own);
/// In the same directory: what all agents of this user know about the host.
std::string identity_path(const std::string& dir);

}  // namespace outrider
