// SPDX-License-Identifier: Apache-2.0
// Makes this host's resolver ask the agent for the agent's domains, and undoes that.
//
//   look_at(root) ▸ Host ▸ plan(host, wish) ▸ Plan ▸ diff(plan) ▸ apply(plan) … undo(root)
//
// Everything is files under one root, so that tests can use a folder. The previous contents are
// kept in a record (agent/process/install_record.h). undo() restores exactly them. Programs that
// configure the network rewrite resolv.conf whenever they like: undo() leaves such a file, and only
// takes the agent out of one that still names it. Any other file that was edited since is kept
// beside its place, under a name that no resolver reads.
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
  std::optional<Profile> profile;  // how this host resolves names
  std::string why;                 // how the profile was found, or why there is none
  std::string resolv_conf;         // its contents
  std::vector<std::string> nameservers;
};
/// `systemd_version` 0: unknown.
Host look_at(const std::string& root, int systemd_version);

/// Whether `text` is safe in a resolver's configuration: "svc", "rpc.internal".
bool is_domain(std::string_view text);

struct Wish {
  Endpoint stub;                     // where the agent answers
  std::vector<std::string> domains;  // "svc"
};

struct FileChange {
  std::string path;                   // under the root, absolute: "/etc/…"
  std::optional<std::string> before;  // nothing: the file did not exist
  std::string after;
  bool operator==(const FileChange&) const = default;
};
struct Plan {
  Profile profile = Profile::plain;
  std::vector<FileChange> files;
  std::vector<std::string> folders;  // created for the files, outermost first; set by apply()
  std::vector<std::vector<std::string>> commands;  // make the resolver read the files
  std::vector<std::string> notes;
  std::string record;  // the file that it was read from, of an installation
};
/// The error says what prevents it.
Result<Plan, std::string> plan(const Host& host, Profile profile, const Wish& wish);

/// The planned changes as a unified diff.
std::string diff(const Plan& plan);
/// Writes the files, each atomically, and the record that undo() needs. If one cannot be written,
/// nothing is changed; nothing is begun that undo() could not restore.
Result<void, std::string> apply(const Host& host, const Plan& plan);
/// The present installation; nothing if there is none, an error if its record is damaged, is
/// not trusted, or names what no installation writes.
Result<std::optional<Plan>, std::string> installed(const std::string& root);
/// Whether every file is still as it was written.
bool untouched(const std::string& root, const Plan& plan);
/// Whether the installation still has an effect: false once resolv.conf no longer names the agent,
/// or the file of another resolver is gone.
bool in_effect(const std::string& root, const Plan& plan);

/// Names for edited files: PATH.edited~, PATH.edited-2~, …; the last is reused.
inline constexpr unsigned kEditedFilesMax = 9;

struct Undone {
  std::vector<std::vector<std::string>> commands;  // to run afterwards
  std::vector<std::string> notes;                  // about files that are not as they were before
};
/// Restores the previous files. After an error the record is still there, for the next try.
Result<Undone, std::string> undo(const std::string& root);
/// The nameservers in a resolv.conf, in order.
std::vector<std::string> nameservers_in(std::string_view resolv_conf);

}  // namespace outrider::dns_setup
