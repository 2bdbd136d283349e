// SPDX-License-Identifier: Apache-2.0
#include "agent/process/state_dir.h"

#include <array>
#include <charconv>
#include <cstdlib>

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

std::string state_dir() {
  if (std::string given = folder_from("STATE_DIRECTORY"); !given.empty()) return given;
  if (const std::string user = folder_from("XDG_STATE_HOME"); !user.empty())
    return user + "/outrider";
  if (const std::string home = folder_from("HOME"); !home.empty())
    return home + "/.local/state/outrider";
  return {};
}

}  // namespace

std::string state_path(const std::string& own) {
  const std::string dir = state_dir();
  if (dir.empty()) return {};
  std::string name = "registrations";
  if (!own.empty()) {
    std::array<char, 16> digits{};
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), fnv1a(own), 16).ptr;
    name += '-' + std::string(digits.data(), end);
  }
  return dir + '/' + name + ".jsonl";
}

}  // namespace outrider
