// SPDX-License-Identifier: Apache-2.0
// How this host's resolver is told to ask the agent for its domains, and how that is undone.
//
//   look_at(root) ▸ Host ▸ plan(host, wish) ▸ Plan ▸ diff(plan) ▸ apply(plan) … undo(root)
//
// Everything is files under one root, so that it can be tried in a folder. What was there before is
// kept in var/lib/outrider/dns-install.json, and undo puts back exactly that, or nothing if
// somebody has changed the files since.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace outrider::dns_setup {

enum class Profile : std::uint8_t {
  delegate,        // systemd-resolved >= 258: a file of its own, no effect on other names
  resolved,        // systemd-resolved: a drop-in
  networkmanager,  // NetworkManager with dns=dnsmasq
  dnsmasq,         // dnsmasq as this host's resolver
  plain,           // resolv.conf alone: the agent becomes the only nameserver
};
const char* to_string(Profile profile);
std::optional<Profile> parse_profile(std::string_view name);

struct Host {
  std::string root = "/";
  std::optional<Profile> profile;  // the way this host works
  std::string why;                 // how that was seen, or why there is none
  std::string resolv_conf;         // its text
  std::vector<std::string> nameservers;
};
/// `systemd_version` 0: not known.
Host look_at(const std::string& root, int systemd_version);

/// What may stand in a resolver's configuration: "svc", "rpc.internal".
bool is_domain(std::string_view text);

struct Wish {
  Endpoint stub;                     // where the agent answers
  std::vector<std::string> domains;  // "svc"
};

struct FileChange {
  std::string path;                   // under the root, absolute: "/etc/…"
  std::optional<std::string> before;  // nothing: it was not there
  std::string after;
  bool operator==(const FileChange&) const = default;
};
struct Plan {
  Profile profile = Profile::plain;
  std::vector<FileChange> files;
  std::vector<std::string> folders;  // made for the files, outermost first; known once written
  std::vector<std::vector<std::string>> commands;  // to make it known to who reads the files
  std::vector<std::string> notes;
};
/// An error says what stands in the way.
Result<Plan, std::string> plan(const Host& host, Profile profile, const Wish& wish);

/// What would change, as a unified diff.
std::string diff(const Plan& plan);
/// Writes the files, each at once or not at all, and what undo needs. Where one cannot be written
/// nothing has changed; what undo could not put back is not begun.
Result<void, std::string> apply(const Host& host, const Plan& plan);
/// The installation that is there; nothing if there is none, an error if its record is damaged.
Result<std::optional<Plan>, std::string> installed(const std::string& root);
/// True if every file still is as it was written.
bool untouched(const std::string& root, const Plan& plan);
/// Puts back what was there before; the commands to run afterwards.
Result<std::vector<std::vector<std::string>>, std::string> undo(const std::string& root);

}  // namespace outrider::dns_setup
