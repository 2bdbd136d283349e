// SPDX-License-Identifier: Apache-2.0
#include "agent/process/runtime_dir.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"
#include "base/trusted_file.h"

namespace outrider {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// By the XDG Base Directory Specification, the runtime directory must be the user's own. What root
/// made in one of a user, that user could not use.
bool is_of_another_user(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && info.st_uid != ::geteuid();
}

enum class Kind : std::uint8_t { other, socket, denied };

Kind kind_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno == EACCES ? Kind::denied : Kind::other;
  return S_ISSOCK(info.st_mode) ? Kind::socket : Kind::other;
}

/// A folder of the host's agents, which belongs to their user, and whose mode the administrator of
/// the host has chosen.
bool is_below(const std::string& path, const std::string& system_dir) {
  return (path + '/').starts_with(system_dir + '/');
}

void look_into(const std::string& dir, FoundSockets& out) {
  for (unsigned number = 1; number <= kSocketsMax; ++number) {
    std::string path = socket_path(dir, number);
    const Kind kind = kind_of(path);
    if (kind == Kind::denied) {
      out.closed.push_back(dir);
      return;
    }
    if (kind == Kind::socket) out.sockets.push_back(std::move(path));
  }
}

}  // namespace

std::string runtime_dir() {
  // systemd lists several directories with colons; the first is ours.
  if (const std::string service = environment("RUNTIME_DIRECTORY"); !service.empty())
    return service.substr(0, service.find(':'));
  const std::string user = environment("XDG_RUNTIME_DIR");
  if (!user.empty() && !is_of_another_user(user)) return user + "/outrider";
  if (::geteuid() == 0) return "/run/outrider";
  return "/tmp/outrider-" + std::to_string(::geteuid());
}

std::string usual_runtime_dir() {
  const std::string uid = std::to_string(::geteuid());
  if (uid == "0") return "/run/outrider";
  const std::string user = "/run/user/" + uid;
  return is_folder(user) ? user + "/outrider" : "/tmp/outrider-" + uid;
}

bool make_runtime_dir(const std::string& path) {
  // Of an agent that was started with sudo: rmdir() succeeds only if it is empty and the directory
  // that it is in lets this user.
  if (is_of_another_user(path)) (void)::rmdir(path.c_str());
  // The group of a user is often that of all users.
  const bool in_tmp = path.starts_with("/tmp/");
  if (::mkdir(path.c_str(), in_tmp ? 0700 : 0750) == 0) return true;
  // In /tmp another user may have made it first.
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() &&
         (is_below(path, kSystemRuntimeDir) ? (info.st_mode & S_IWOTH) == 0
                                            : !why_folder_distrusted(path));
}

std::string socket_path(const std::string& dir, unsigned number) {
  return dir + "/agent" + (number < 2 ? "" : '-' + std::to_string(number)) + ".sock";
}

FoundSockets look_for_sockets(const std::string& own_dir, const std::string& system_dir) {
  FoundSockets found;
  const auto why = is_below(own_dir, system_dir) ? std::nullopt : why_folder_distrusted(own_dir);
  if (why)
    found.passed_over = "agents in " + own_dir + " are not used: that directory " + *why;
  else
    look_into(own_dir, found);
  if (system_dir != own_dir) look_into(system_dir, found);
  std::vector<std::string> names;
  for (std::string& name : list_folder(system_dir).value_or(std::vector<std::string>()))
    if (is_folder(system_dir + '/' + name)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  names.resize(std::min(names.size(), kNamedAgentsMax));
  for (const std::string& name : names)
    if (const std::string dir = system_dir + '/' + name; dir != own_dir) look_into(dir, found);
  return found;
}

}  // namespace outrider
