// SPDX-License-Identifier: Apache-2.0
// Commands that doctor and dns install print, as they are typed on this host.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/dns_setup.h"

namespace outrider::cli {

/// Where an agent answers DNS unless dns.listen says otherwise, and where resolv.conf can name it.
inline constexpr const char* kUsualStub = "127.0.0.55:5370";
inline constexpr const char* kPlainStub = "127.0.0.55:53";

/// With sudo, unless this is root.
std::string as_root(const std::string& command);
/// Whether `outrider dns install` without options finds an agent that listens there, and that this
/// host's resolver can ask.
bool can_be_installed(const std::vector<std::string>& listen);
/// Starts an agent that this host's resolver can ask: by its unit where there is one. Without a
/// profile: any agent.
std::string start_command(std::optional<dns_setup::Profile> profile);

}  // namespace outrider::cli
