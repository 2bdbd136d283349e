// SPDX-License-Identifier: Apache-2.0
// `outrider doctor`: the systemd units of this host's agents.
#include "agent/cli/advice.h"
#include "agent/cli/agent_rights.h"
#include "agent/cli/finding.h"
#include "agent/cli/load_config.h"
#include "agent/cli/tool.h"
#include "agent/cli/units.h"

namespace outrider::cli {
namespace {

std::string journal(const std::vector<std::string>& match) {
  std::vector<std::string> words = {
      "journalctl", "-q", "--no-pager", "-o", "cat", "-n", std::to_string(kJournalLines)};
  words.insert(words.end(), match.begin(), match.end());
  return output_of_tool(words);
}

/// Why the unit has failed, from its last run in the journal; empty if that cannot be read.
std::string reason_of(const std::string& unit) {
  std::string run = output_of_tool({"systemctl", "show", "-p", "InvocationID", "--value", unit});
  run = run.substr(0, run.find('\n'));
  const std::string match = run.empty() ? "_SYSTEMD_UNIT=" + unit : "_SYSTEMD_INVOCATION_ID=" + run;
  std::string reason = last_error(journal({"-p", "err", match}), journal({match}));
  // What systemd itself says of it, such as that the watchdog has ended it.
  return reason.empty() ? last_error(journal({"-p", "err", "-b", "-u", unit}), {}) : reason;
}

/// Whether the files that a unit's agent was started with would be refused now: by anyone who can
/// read them, for as long as the agent runs with what it has read before.
void examine_configuration(const std::string& unit, Findings& out) {
  const auto command = unit_command(output_of_tool(
      {"systemctl", "show", "-p", "ExecStart,Environment,EnvironmentFiles,User", unit}));
  if (!command || !can_read_config(command->paths)) return;
  std::string why;
  if (const auto config = read_whole_config(command->paths, command->sets, command->environment);
      !config)
    why = config.error();
  else if (const auto unreadable = unreadable_for(command->user, command->paths, "/");
           !unreadable.empty())
    why = unreadable.front();
  if (why.empty()) return;
  out.push_back({Level::bad, unit + " would not start with its present configuration: " + why,
                 "correct the file, then run: " + as_root("systemctl reload-or-restart ") + unit});
}

void examine_files(const HostUnits& units, Findings& out) {
  if (units.systemd_runs && units.masked.contains(kAgentUnit))
    out.push_back({Level::note, std::string(kAgentUnit) + " is masked, and cannot be started",
                   "if you want it to run, run: " + as_root("systemctl unmask ") + kAgentUnit});
  for (const std::string& unit : units.lonely)
    out.push_back({Level::bad,
                   unit + " is enabled and never starts, because there is no " + served_unit(unit),
                   "an agent beside a service is called after its unit; run: " +
                       as_root("systemctl disable ") + unit});
}

}  // namespace

void examine_units(Findings& out) {
  const HostUnits units = look_at_units("/");
  examine_files(units, out);
  if (!units.systemd_runs) return;
  const std::string listing = list_units();
  for (const FailedUnit& unit : failed_units(listing)) {
    const std::string reason = reason_of(unit.name);
    out.push_back({Level::bad,
                   unit.name + (unit.restarts ? " fails and is restarted" : " has failed") +
                       (reason.empty() ? "" : ": " + reason),
                   "see its log: journalctl -u " + unit.name + " -n 20"});
  }
  for (const std::string& unit : running_agents(listing))
    examine_configuration(unit, out);
}

}  // namespace outrider::cli
