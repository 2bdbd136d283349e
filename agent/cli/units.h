// SPDX-License-Identifier: Apache-2.0
// The systemd units of this host's agents, for doctor and dns install: what is enabled and masked
// from files, so that tests can use a folder; what has failed from systemctl.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
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

/// By `systemctl list-units --plain --no-legend --all`; empty without systemd.
std::string list_units();
std::vector<FailedUnit> failed_units(std::string_view listing);
/// outrider.service and outrider@NAME.service that run, start or stop, kNamedUnitsMax at most.
std::vector<std::string> running_agents(std::string_view listing);

/// How systemd starts an agent.
struct UnitCommand {
  std::vector<std::string> paths, sets;  // --config and --set
  std::vector<std::pair<std::string, std::string>> environment;
  std::string user = "root";
};
/// Of the properties ExecStart, Environment, EnvironmentFiles and User as `systemctl show` prints
/// them. Nothing if it is no agent, or more than words that mean themselves.
std::optional<UnitCommand> unit_command(std::string_view properties);

/// Lines of the journal that are looked at, and how much of one is shown.
inline constexpr std::size_t kJournalLines = 20;
inline constexpr std::size_t kReasonBytesMax = 200;
/// The last line of `errors`, else the last complaint of an agent among `all`, whose priority is
/// not that of an error; empty if there is none.
std::string last_error(std::string_view errors, std::string_view all);

}  // namespace outrider::cli
