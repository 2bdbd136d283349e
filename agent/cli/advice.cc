// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/advice.h"

#include <algorithm>

#include <unistd.h>

#include "agent/cli/tool.h"
#include "agent/process/port_holder.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

using dns_setup::Profile;

/// The program that keeps an agent from this address; empty if there is none. What systemd holds
/// there, it holds for an agent.
std::string stranger_on(const Endpoint& address, const HostUnits& units) {
  std::string holder = port_holder(address);
  if (holder.starts_with("outrider (") || holder == "systemd (pid 1)") return {};
  // Of root's processes, other users do not see which one it is.
  if (!holder.empty() && holder.find("(pid ") == std::string::npos && units.usable() &&
      output_of_tool({"systemctl", "is-active", kDnsSocketUnit}) == "active\n")
    return {};
  return holder;
}

std::string start_command(const HostUnits& units, bool plain) {
  if (units.usable()) return enable_command(units, plain ? kDnsSocketUnit : "");
  if (plain) return as_root("outrider agent --set dns.listen=") + kPlainStub;
  return "outrider agent";
}

}  // namespace

std::string as_root(const std::string& command) {
  return (::geteuid() == 0 ? "" : "sudo ") + command;
}

bool can_be_installed(const std::vector<std::string>& listen) {
  const dns_setup::Host host = dns_setup::look_at("/", 0);
  const bool plain = host.profile == dns_setup::Profile::plain;
  return host.profile && std::ranges::any_of(listen, [plain](const std::string& on) {
           return on == kPlainStub || (!plain && on == kUsualStub);
         });
}

std::string enable_command(const HostUnits& units, std::string_view socket) {
  std::vector<std::string> names, masked, steps;
  // The other socket would start the service again while it is stopped.
  for (const char* each : {kDnsSocketUnit, kWebSocketUnit})
    if (each == socket || (!socket.empty() && units.enabled.contains(each)))
      names.emplace_back(each);
  std::vector<std::string> stopped = names;
  std::erase(stopped, socket);
  stopped.emplace_back(kAgentUnit);
  names.emplace_back(kAgentUnit);
  for (const std::string& name : names)
    if (units.masked.contains(name)) masked.push_back(name);
  if (!masked.empty()) steps.push_back(as_root("systemctl unmask " + join(masked, " ")));
  if (!socket.empty()) steps.push_back(as_root("systemctl stop " + join(stopped, " ")));
  steps.push_back(as_root("systemctl enable --now " + join(names, " ")));
  return join(steps, " && ");
}

std::string low_port_command(const HostUnits& units, std::string_view socket) {
  return units.usable() ? enable_command(units, socket) : std::string();
}

std::string start_advice(std::optional<Profile> profile) {
  const bool plain = profile == Profile::plain;
  const HostUnits units = look_at_units("/");
  std::string run = "run: " + start_command(units, plain);
  const Endpoint stub = *Endpoint::parse(kPlainStub);
  const std::string holder = plain ? stranger_on(stub, units) : std::string();
  if (holder.empty()) return run;
  return "port 53 is in use by " + holder + ": stop that program, or keep it off " +
         stub.address.to_string() + "; then " + run;
}

std::optional<BootGap> gap_at_boot(const HostUnits& units, Profile profile) {
  if (!units.usable() || units.masked.contains(kAgentUnit)) return std::nullopt;
  BootGap gap;
  const bool plain = profile == Profile::plain;
  if (plain && !units.enabled.contains(kDnsSocketUnit)) gap.units.emplace_back(kDnsSocketUnit);
  if (!units.enabled.contains(kAgentUnit)) gap.units.emplace_back(kAgentUnit);
  if (gap.units.empty()) return std::nullopt;
  gap.what = join(gap.units, " and ") + (gap.units.size() == 1 ? " is" : " are") +
             " not enabled: after the next boot no agent answers" +
             (plain ? ", and no name resolves" : "");
  gap.advice = "run: " + as_root("systemctl enable " + join(gap.units, " "));
  return gap;
}

}  // namespace outrider::cli
