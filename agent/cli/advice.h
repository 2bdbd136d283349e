// SPDX-License-Identifier: Apache-2.0
// Commands that doctor and dns install print, as they are typed on this host.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/cli/dns_setup.h"
#include "agent/cli/units.h"

namespace outrider::cli {

/// Where an agent answers DNS unless dns.listen says otherwise, and where resolv.conf can name it.
inline constexpr const char* kUsualStub = "127.0.0.55:5370";
inline constexpr const char* kPlainStub = "127.0.0.55:53";

/// With sudo, unless this is root.
std::string as_root(const std::string& command);
/// Whether `outrider dns install` without options finds an agent that listens there, and that this
/// host's resolver can ask.
bool can_be_installed(const std::vector<std::string>& listen);
/// Enables and starts outrider.service, and the socket unit that binds a low port for it, if one is
/// named; takes masks away first. Works whether the service runs or not: systemd refuses to start a
/// socket whose service runs, also in a restart of both, so that the service is stopped first.
std::string enable_command(const HostUnits& units, std::string_view socket);
/// What gives a program without privileges a port below 1024: a command where the units are
/// installed, else an empty text.
std::string low_port_command(const HostUnits& units, std::string_view socket);
/// "run: …" with the command that starts an agent which this host's resolver can ask: by its unit
/// where there is one. If another program holds the port that such an agent needs, who it is.
/// Without a profile: any agent.
std::string start_advice(std::optional<dns_setup::Profile> profile);

/// What will be missing after the next boot: units that are started, at most, and not enabled.
struct BootGap {
  std::vector<std::string> units;
  std::string what;
  std::string advice;
};
/// For an installation with this profile. Nothing where systemd or the unit is missing, or
/// outrider.service is masked: the agent is then started in another way.
std::optional<BootGap> gap_at_boot(const HostUnits& units, dns_setup::Profile profile);

}  // namespace outrider::cli
