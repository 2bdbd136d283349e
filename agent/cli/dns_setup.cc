// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/dns_setup.h"

#include <algorithm>
#include <array>

#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/install_record.h"
#include "base/json.h"
#include "base/text.h"
#include "base/text_file.h"
#include "base/trusted_file.h"
#include "dns/resolv_conf.h"
#include "dns/wire/name.h"

namespace outrider::dns_setup {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"delegate", "resolved", "networkmanager",
                                                    "dnsmasq", "plain"};
constexpr std::string_view kResolvConf = "/etc/resolv.conf";
constexpr int kDelegateSince = 258;

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

bool is_link(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

std::string link_target(const std::string& path) {
  std::array<char, 4'096> text{};
  const ssize_t size = ::readlink(path.c_str(), text.data(), text.size());
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : std::string();
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (const auto line = take_line(text))
    out.emplace_back(*line);
  return out;
}

/// dns=dnsmasq in [main] of NetworkManager's configuration.
bool networkmanager_uses_dnsmasq(const std::string& root) {
  std::string text;
  for (const char* path :
       {"/etc/NetworkManager/NetworkManager.conf", "/etc/NetworkManager/conf.d/dns.conf",
        "/etc/NetworkManager/conf.d/00-use-dnsmasq.conf"}) {
    text += read_text_file(under(root, path)).value_or("") + '\n';
  }
  for (std::string line : lines_of(text)) {
    std::erase_if(line, [](char c) { return c == ' ' || c == '\t'; });
    if (line == "dns=dnsmasq") return true;
  }
  return false;
}

bool uses_resolved(const std::string& root, const Host& host) {
  const std::string target = link_target(under(root, kResolvConf));
  if (target.find("systemd/resolve/") != std::string::npos) return true;
  return std::find(host.nameservers.begin(), host.nameservers.end(), "127.0.0.53") !=
         host.nameservers.end();
}

bool asks_this_host(const Host& host) {
  return !host.nameservers.empty() && host.nameservers.front().starts_with("127.");
}

/// "~svc ~rpc": systemd-resolved routes these domains here without searching them.
std::string routed(const std::vector<std::string>& domains) {
  return join(domains, " ", [](const std::string& domain) { return '~' + domain; });
}

FileChange change(const Host& host, std::string_view path, std::string after) {
  return {std::string(path), read_text_file(under(host.root, path)), std::move(after)};
}

std::string dnsmasq_lines(const Wish& wish) {
  std::string text;
  for (const std::string& domain : wish.domains) {
    text += "server=/" + domain + '/' + wish.stub.address.to_string() + '#' +
            std::to_string(wish.stub.port) + '\n';
  }
  return text;
}

/// Replaces all nameserver lines by one; every other line stays where it is.
std::string with_only_nameserver(const std::string& text, const IpAddress& address) {
  std::string out;
  bool replaced = false;
  for (const std::string& line : lines_of(text)) {
    if (!dns::nameserver_in(line)) {
      out += line + '\n';
    } else if (!replaced) {
      out += "nameserver " + address.to_string() + '\n';
      replaced = true;
    }
  }
  if (!replaced) out += "nameserver " + address.to_string() + '\n';
  return out;
}

/// The address that our resolv.conf names, out of `file`, which is the change of it.
std::string agent_in(const FileChange& file) {
  const std::vector<std::string> written = nameservers_in(file.after);
  return written.empty() ? std::string() : written.front();
}

bool names_agent(const std::string& resolv_conf, const FileChange& file) {
  const std::vector<std::string> now = nameservers_in(resolv_conf);
  return std::find(now.begin(), now.end(), agent_in(file)) != now.end();
}

/// The nameservers of before in place of the agent, without those that are there anyway.
std::string without_agent(const std::string& resolv_conf, const FileChange& file) {
  const std::vector<std::string> now = nameservers_in(resolv_conf);
  std::string out;
  for (const std::string& line : lines_of(resolv_conf)) {
    if (dns::nameserver_in(line) != agent_in(file)) {
      out += line + '\n';
      continue;
    }
    for (const std::string& old : nameservers_in(file.before.value_or("")))
      if (std::find(now.begin(), now.end(), old) == now.end()) out += "nameserver " + old + '\n';
  }
  return out;
}

Result<Plan, std::string> plain_plan(const Host& host, const Wish& wish) {
  if (is_link(under(host.root, kResolvConf))) {
    return failure("/etc/resolv.conf is a link to " + link_target(under(host.root, kResolvConf)) +
                   ": the program that writes that file would overwrite the change; configure "
                   "that program, or choose its --profile");
  }
  if (wish.stub.port != 53) {
    const std::string port_53 = Endpoint{wish.stub.address, 53}.to_string();
    return failure("resolv.conf cannot name a port. Start the agent with dns.listen=" + port_53 +
                   ", then run: outrider dns install --stub " + port_53);
  }
  Plan plan;
  plan.profile = Profile::plain;
  plan.files = {
      change(host, kResolvConf, with_only_nameserver(host.resolv_conf, wish.stub.address))};
  std::vector<std::string> upstream = host.nameservers;
  std::erase(upstream, wish.stub.address.to_string());
  const std::string setting =
      "the agent becomes this host's only nameserver" +
      (upstream.empty() ? ", and has no other one: set dns.upstream, or other names do not resolve"
                        : "; it forwards other names to " + join(upstream, ", ") +
                              ", unless dns.forward is off or dns.upstream names others");
  plan.notes = {setting};
  return plan;
}

Result<std::string, std::string> text_member(const json::Value& value, std::string_view key) {
  const json::Value* found = value.find(key);
  if (found == nullptr || found->as_string() == nullptr)
    return failure("no \"" + std::string(key) + '"');
  return *found->as_string();
}

std::string record_of(const Plan& plan) {
  std::string text;
  json::Writer out(text, json::Writer::Style::indented);
  out.begin_object().member("profile", to_string(plan.profile)).key("files").begin_array();
  for (const FileChange& file : plan.files) {
    out.begin_object().member("path", file.path).key("before");
    if (file.before)
      out.value(*file.before);
    else
      out.null();
    out.member("after", file.after).end_object();
  }
  out.end_array().key("folders").begin_array();
  for (const std::string& folder : plan.folders)
    out.value(folder);
  out.end_array().end_object();
  return text + '\n';
}

/// Innermost first. A folder that other programs use by now is not empty and stays.
void remove_folders(const std::string& root, const std::vector<std::string>& folders) {
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder)
    ::rmdir(under(root, *folder).c_str());
}

/// Keeps an edited file where its resolver does not read it: systemd-resolved looks at the
/// extension, dnsmasq skips names that end in a tilde. Returns the new path.
Result<std::string, std::string> keep_edited(const std::string& root, const std::string& path) {
  std::string kept;
  for (unsigned number = 1; number <= kEditedFilesMax; ++number) {
    kept = path + ".edited" + (number == 1 ? "" : '-' + std::to_string(number)) + '~';
    if (!exists(under(root, kept))) break;
  }
  if (::rename(under(root, path).c_str(), under(root, kept).c_str()) != 0)
    return failure(path + " was edited since installation, and cannot be renamed to " + kept);
  return kept;
}

/// Adds the folders on the way to `path` that do not exist.
void add_missing_folders(const std::string& root, std::string_view path,
                         std::vector<std::string>& out) {
  for (std::size_t at = path.find('/', 1); at != path.npos; at = path.find('/', at + 1)) {
    const std::string folder(path.substr(0, at));
    const bool known = std::find(out.begin(), out.end(), folder) != out.end();
    if (!known && !exists(under(root, folder))) out.push_back(folder);
  }
}

std::vector<std::vector<std::string>> commands_of(Profile profile) {
  switch (profile) {
    case Profile::delegate:
    case Profile::resolved:
      return {{"systemctl", "restart", "systemd-resolved"}};
    case Profile::networkmanager:
      return {{"systemctl", "restart", "NetworkManager"}};
    case Profile::dnsmasq:
      return {{"systemctl", "restart", "dnsmasq"}};
    case Profile::plain:
      return {};
  }
  OUTRIDER_UNREACHABLE();
}

/// The file that a profile writes.
std::string_view path_of(Profile profile) {
  switch (profile) {
    case Profile::delegate:
      return "/etc/systemd/dns-delegate.d/outrider.dns-delegate";
    case Profile::resolved:
      return "/etc/systemd/resolved.conf.d/outrider.conf";
    case Profile::networkmanager:
      return "/etc/NetworkManager/dnsmasq.d/outrider.conf";
    case Profile::dnsmasq:
      return "/etc/dnsmasq.d/outrider.conf";
    case Profile::plain:
      return kResolvConf;
  }
  OUTRIDER_UNREACHABLE();
}

/// Whether it is above one of the files that an installation with this profile writes.
bool is_folder_of(Profile profile, std::string_view folder) {
  const auto files = {path_of(profile), kDnsInstallRecord, kEarlierDnsInstallRecord};
  return std::ranges::any_of(files, [folder](std::string_view file) {
    return !folder.empty() && file.starts_with(std::string(folder) + '/');
  });
}

/// The inverse of record_of(). A record may name only what this profile writes: root restores it.
Result<Plan, std::string> read_record(std::string_view text) {
  const auto value = json::parse(text, kTextFileBytesMax);
  if (!value) return failure(value.error().message);
  const auto profile = parse_profile(text_member(*value, "profile").value_or(""));
  const json::Value* files = value->find("files");
  if (!profile || files == nullptr || files->as_array() == nullptr)
    return failure(std::string("not written by outrider dns install"));
  Plan plan;
  plan.profile = *profile;
  plan.commands = commands_of(*profile);
  for (const json::Value& entry : *files->as_array()) {
    const auto file = text_member(entry, "path");
    const auto after = text_member(entry, "after");
    if (!file || !after) return failure(std::string("not written by outrider dns install"));
    if (*file != path_of(*profile))
      return failure("names " + *file + ", which the profile " + to_string(*profile) +
                     " does not write");
    FileChange change{*file, std::nullopt, *after};
    if (const auto before = text_member(entry, "before")) change.before = *before;
    plan.files.push_back(std::move(change));
  }
  const json::Value* folders = value->find("folders");
  if (folders != nullptr && folders->as_array() != nullptr) {
    for (const json::Value& folder : *folders->as_array()) {
      if (folder.as_string() == nullptr) continue;
      if (!is_folder_of(*profile, *folder.as_string()))
        return failure("names the folder " + *folder.as_string() + ", which the profile " +
                       to_string(*profile) + " does not make");
      plan.folders.push_back(*folder.as_string());
    }
  }
  return plan;
}

}  // namespace

const char* to_string(Profile profile) {
  return kNames[static_cast<std::size_t>(profile)].data();
}

std::optional<Profile> parse_profile(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Profile>(found - kNames.begin());
}

bool is_domain(std::string_view text) {
  const auto name = dns::Name::parse(text);
  return name && !name->is_root() && !text.ends_with('.') &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

std::vector<std::string> nameservers_in(std::string_view resolv_conf) {
  std::vector<std::string> found;
  for (const std::string& line : lines_of(resolv_conf))
    if (const auto nameserver = dns::nameserver_in(line)) found.emplace_back(*nameserver);
  return found;
}

Host look_at(const std::string& root, int systemd_version) {
  Host host;
  host.root = root;
  host.resolv_conf = read_text_file(under(root, kResolvConf)).value_or("");
  host.nameservers = nameservers_in(host.resolv_conf);
  if (uses_resolved(root, host)) {
    const bool delegate = systemd_version >= kDelegateSince;
    host.profile = delegate ? Profile::delegate : Profile::resolved;
    host.why = "resolv.conf points to systemd-resolved";
  } else if (networkmanager_uses_dnsmasq(root)) {
    host.profile = Profile::networkmanager;
    host.why = "NetworkManager runs dnsmasq (dns=dnsmasq)";
  } else if (asks_this_host(host) && exists(under(root, "/etc/dnsmasq.conf"))) {
    host.profile = Profile::dnsmasq;
    host.why = "resolv.conf points to this host, where dnsmasq is configured";
  } else if (is_link(under(root, kResolvConf))) {
    host.why = "/etc/resolv.conf is a link to " + link_target(under(root, kResolvConf)) +
               ", which another program writes";
  } else {
    host.profile = Profile::plain;
    host.why = "resolv.conf is a plain file, and no local resolver was found";
  }
  return host;
}

Result<Plan, std::string> plan(const Host& host, Profile profile, const Wish& wish) {
  const std::string stub = wish.stub.to_string();
  Plan plan;
  plan.profile = profile;
  plan.commands = commands_of(profile);
  switch (profile) {
    case Profile::delegate:
      plan.files = {change(host, path_of(profile),
                           "[Delegate]\nDNS=" + stub + "\nDomains=" + routed(wish.domains) + '\n')};
      return plan;
    case Profile::resolved:
      plan.files = {change(host, path_of(profile),
                           "[Resolve]\nDNS=" + stub + "\nDomains=" + routed(wish.domains) + '\n')};
      plan.notes = {
          "systemd-resolved may ask the agent for other names too; the agent answers REFUSED, "
          "and systemd-resolved asks the next server"};
      return plan;
    case Profile::networkmanager:
    case Profile::dnsmasq:
      plan.files = {change(host, path_of(profile), dnsmasq_lines(wish))};
      return plan;
    case Profile::plain:
      return plain_plan(host, wish);
  }
  OUTRIDER_UNREACHABLE();
}

std::string diff(const Plan& plan) {
  std::string out;
  for (const FileChange& file : plan.files) {
    if (file.before == file.after) continue;
    out += "--- " + (file.before ? file.path : "/dev/null") + "\n+++ " + file.path + '\n';
    const std::vector<std::string> before = lines_of(file.before.value_or(""));
    const std::vector<std::string> after = lines_of(file.after);
    // Enough for files of a few lines: the common head and tail stay, the middle is replaced.
    std::size_t head = 0;
    while (head < before.size() && head < after.size() && before[head] == after[head])
      ++head;
    std::size_t tail = 0;
    while (tail + head < before.size() && tail + head < after.size() &&
           before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) {
      ++tail;
    }
    for (std::size_t i = 0; i < head; ++i)
      out += ' ' + before[i] + '\n';
    for (std::size_t i = head; i + tail < before.size(); ++i)
      out += '-' + before[i] + '\n';
    for (std::size_t i = head; i + tail < after.size(); ++i)
      out += '+' + after[i] + '\n';
    for (std::size_t i = before.size() - tail; i < before.size(); ++i)
      out += ' ' + before[i] + '\n';
  }
  return out;
}

Result<void, std::string> apply(const Host& host, const Plan& plan) {
  Plan known = plan;
  add_missing_folders(host.root, kDnsInstallRecord, known.folders);
  for (const FileChange& file : plan.files)
    add_missing_folders(host.root, file.path, known.folders);
  const std::string record = record_of(known);
  const auto read_back = read_record(record);
  if (!read_back || read_back->files != plan.files) {
    return failure(plan.files.front().path +
                   " is not UTF-8 text, so it could not be restored exactly: change it by hand");
  }
  // The record first: a half-done installation can be undone too.
  if (auto kept = write_trusted_file(under(host.root, kDnsInstallRecord), record); !kept) {
    remove_folders(host.root, known.folders);
    return kept;
  }
  for (const FileChange& file : plan.files) {
    auto written = write_text_file(under(host.root, file.path), file.after);
    if (written) continue;
    if (undo(host.root)) return failure(written.error() + "; nothing was changed");
    return failure(written.error() + "; to restore the previous files, run: outrider dns remove");
  }
  return {};
}

Result<std::optional<Plan>, std::string> installed(const std::string& root) {
  auto record = find_install_record(root);
  if (!record) return failure(std::move(record.error()));
  if (!*record) return std::optional<Plan>();
  auto plan = read_record((*record)->text);
  if (!plan) return failure((*record)->path + ": " + plan.error());
  plan->record = std::move((*record)->path);
  return std::optional(std::move(*plan));
}

bool untouched(const std::string& root, const Plan& plan) {
  return std::all_of(plan.files.begin(), plan.files.end(), [&](const FileChange& file) {
    return read_text_file(under(root, file.path)) == file.after;
  });
}

bool in_effect(const std::string& root, const Plan& plan) {
  return std::all_of(plan.files.begin(), plan.files.end(), [&](const FileChange& file) {
    const auto now = read_text_file(under(root, file.path));
    return now && (file.path != kResolvConf || names_agent(*now, file));
  });
}

Result<Undone, std::string> undo(const std::string& root) {
  auto plan = installed(root);
  if (!plan) return failure(plan.error());
  if (!*plan) return failure(std::string("nothing is installed"));
  auto& files = (*plan)->files;
  Undone undone;
  // Already as before: never written, or restored by hand. It may not be writable at all.
  std::erase_if(files, [&](const FileChange& file) {
    const std::string path = under(root, file.path);
    if (read_text_file(path) != file.before) return false;
    remove_draft(path);
    return true;
  });
  for (FileChange& file : files) {
    const auto now = read_text_file(under(root, file.path));
    if (now == file.after) continue;
    if (file.path != kResolvConf) {
      // Missing: what was there before is restored all the same.
      if (!exists(under(root, file.path))) continue;
      const auto kept = keep_edited(root, file.path);
      if (!kept) return failure(kept.error());
      undone.notes.push_back(file.path + " was edited since installation, and is kept as " + *kept);
      continue;
    }
    const bool names_us = now && names_agent(*now, file);
    undone.notes.push_back(
        file.path + " was rewritten since installation" +
        (names_us ? "; only the agent was taken out of it" : ", and is left as it is"));
    file.before = names_us ? without_agent(*now, file) : now;
  }
  for (const FileChange& file : files) {
    if (file.before == read_text_file(under(root, file.path))) continue;
    if (file.before) {
      if (auto written = write_text_file(under(root, file.path), *file.before); !written)
        return failure(written.error());
    } else if (::unlink(under(root, file.path).c_str()) != 0 && exists(under(root, file.path))) {
      return failure(file.path + ": cannot be removed");
    }
  }
  const std::string& record = (*plan)->record;
  remove_draft(record);
  if (::unlink(record.c_str()) != 0 && exists(record))
    return failure(record + ": cannot be removed");
  remove_folders(root, (*plan)->folders);
  // Of an installation that found the folder.
  remove_folders(root, {std::string(kDnsInstallRecord.substr(0, kDnsInstallRecord.rfind('/')))});
  undone.commands = (*plan)->commands;
  return undone;
}

}  // namespace outrider::dns_setup
