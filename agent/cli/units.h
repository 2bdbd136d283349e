// SPDX-License-Identifier: Apache-2.0
// The systemd units of this host's agents, for doctor and dns install: what is enabled and masked
// from files, so that tests can use a folder; what has failed from systemctl.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace outrider::cli {

inline constexpr const char* kAgentUnit = "outrider.service";
inline constexpr const char* kDnsSocketUnit = "outrider-dns.socket";
inline constexpr const char* kWebSocketUnit = "outrider-web.socket";

/// More of them say nothing new.
inline constexpr std::size_t kFailedUnitsMax = 16;
/// Enabled units outrider@NAME that are looked at.
inline constexpr std::size_t kNamedUnitsMax = 64;

struct HostUnits {
  bool systemd_runs = false;
  bool exists = false;              // outrider.service is installed, or masked
  std::set<std::string> masked;     // of those that are named above
  std::set<std::string> enabled;    // names of all units outrider*
  std::vector<std::string> lonely;  // enabled outrider@NAME.service without a NAME.service

  /// Whether outrider.service can be started here.
  bool usable() const { return systemd_runs && exists; }
};
/// `root` is "/", or the folder that plays its part.
HostUnits look_at_units(const std::string& root);

/// "orders.service" of outrider@orders.service; empty if it is none.
std::string served_unit(std::string_view unit);

struct FailedUnit {
  std::string name;
  bool restarts = false;  // systemd tries it again and again
};

/// Of a listing by `systemctl list-units --plain --no-legend --all`.
std::vector<FailedUnit> failed_units(std::string_view listing);
/// Empty without systemd.
std::vector<FailedUnit> failed_units_of_host();

}  // namespace outrider::cli
