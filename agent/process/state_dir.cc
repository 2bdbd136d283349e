// SPDX-License-Identifier: Apache-2.0
#include "agent/process/state_dir.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

namespace outrider {
namespace {

/// Empty unless it is an absolute path.
std::string folder_from(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value != '/') return {};
  // systemd lists several directories with colons; the first is ours.
  const std::string text = value;
  return text.substr(0, text.find(':'));
}

/// Whether root was lent the directory by sudo, together with the environment: what root writes
/// there, its owner's agent cannot read.
bool is_of_sudoer(const std::string& path) {
  const char* sudoer = std::getenv("SUDO_UID");
  struct stat info {};
  return sudoer != nullptr && ::geteuid() == 0 && ::stat(path.c_str(), &info) == 0 &&
         info.st_uid != 0 && std::to_string(info.st_uid) == sudoer;
}

std::string home_of_root() {
  const passwd* root = ::getpwuid(0);
  return root != nullptr && root->pw_dir != nullptr ? root->pw_dir : "/root";
}

std::string path_of(const std::string& dir, std::string name, const std::string& own) {
  if (dir.empty()) return {};
  if (!own.empty()) {
    std::array<char, 16> digits{};
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), fnv1a(own), 16).ptr;
    name += '-' + std::string(digits.data(), end);
  }
  return dir + '/' + name + ".jsonl";
}

}  // namespace

std::string state_dir() {
  if (std::string given = folder_from("STATE_DIRECTORY"); !given.empty()) return given;
  const std::string user = folder_from("XDG_STATE_HOME");
  if (!user.empty() && !is_of_sudoer(user)) return user + "/outrider";
  std::string home = folder_from("HOME");
  if (!home.empty() && is_of_sudoer(home)) home = home_of_root();
  return home.empty() ? std::string() : home + "/.local/state/outrider";
}

std::string state_path(const std::string& dir, const std::string& own) {
  return path_of(dir, "registrations", own);
}

std::string etcd_state_path(const std::string& dir, const std::string& own) {
  return path_of(dir, "etcd", own);
}

std::string identity_path(const std::string& dir) {
  return dir.empty() ? std::string() : dir + "/identity.json";
}

}  // namespace outrider
