// SPDX-License-Identifier: Apache-2.0
#include "agent/process/runtime_dir.h"

#include <cstdlib>

#include <sys/stat.h>
#include <unistd.h>

namespace outrider {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_socket(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

std::string runtime_dir() {
  // systemd lists several directories with colons; the first is ours.
  if (const std::string service = environment("RUNTIME_DIRECTORY"); !service.empty())
    return service.substr(0, service.find(':'));
  if (const std::string user = environment("XDG_RUNTIME_DIR"); !user.empty())
    return user + "/outrider";
  if (::geteuid() == 0) return "/run/outrider";
  return "/tmp/outrider-" + std::to_string(::geteuid());
}

bool make_runtime_dir(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) == 0) return true;
  // In /tmp another user may have made it first: accept only a directory of our own that no other
  // user may write to.
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() &&
         (info.st_mode & S_IWOTH) == 0;
}

std::string socket_path(const std::string& dir, unsigned number) {
  return dir + "/agent" + (number < 2 ? "" : '-' + std::to_string(number)) + ".sock";
}

std::vector<std::string> find_sockets() {
  std::vector<std::string> found;
  std::vector<std::string> dirs = {runtime_dir()};
  if (dirs.front() != "/run/outrider") dirs.emplace_back("/run/outrider");
  for (const std::string& dir : dirs) {
    for (unsigned number = 1; number <= kSocketsMax; ++number)
      if (std::string path = socket_path(dir, number); is_socket(path))
        found.push_back(std::move(path));
  }
  return found;
}

}  // namespace outrider
