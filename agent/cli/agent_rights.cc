// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/agent_rights.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/text_file.h"

namespace outrider::cli {
namespace {

constexpr int kGroupsMax = 64;

/// `bits`: of S_IROTH and S_IXOTH.
bool may(const Reader& reader, const struct stat& info, mode_t bits) {
  if (reader.user == 0) return true;
  if (info.st_uid == reader.user) return (info.st_mode >> 6 & bits) == bits;
  const bool in_group = std::ranges::find(reader.groups, info.st_gid) != reader.groups.end();
  return (info.st_mode >> (in_group ? 3 : 0) & bits) == bits;
}

/// Without links in it; empty if it does not exist.
std::string settled(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         std::free);
  return real == nullptr ? std::string() : real.get();
}

/// What keeps the reader from a file, a directory above it included; empty: nothing.
std::string obstacle(const Reader& reader, const std::string& path, const std::string& folder) {
  struct stat info {};
  for (std::size_t at = folder.size(); at < path.size(); ++at) {
    if (path[at] != '/' || at == 0) continue;
    const std::string above = path.substr(0, at);
    if (::stat(above.c_str(), &info) == 0 && !may(reader, info, S_IXOTH)) return above;
  }
  const bool readable =
      ::stat(path.c_str(), &info) != 0 ||
      may(reader, info, S_ISDIR(info.st_mode) ? S_IROTH | S_IXOTH : mode_t{S_IROTH});
  return readable ? std::string() : path;
}

/// The paths themselves, and what the directories among them have.
std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files = paths;
  if (const auto texts = read_config_files(paths))
    for (const ConfigText& text : *texts)
      files.push_back(text.file);
  return files;
}

}  // namespace

std::vector<std::string> unreadable_for(const Reader& reader, const std::vector<std::string>& paths,
                                        const std::string& folder) {
  std::vector<std::string> found;
  const std::string base = folder == "/" ? "" : folder;
  for (const std::string& file : files_of(paths)) {
    const std::string path = settled(file);
    if (!path.starts_with(base + '/')) continue;
    const std::string at = obstacle(reader, path, base);
    if (at.empty()) continue;
    std::string sentence = at + ": the user " + reader.name + " cannot read it; run: chgrp " +
                           reader.name + ' ' + at + " && chmod g+" +
                           (is_folder(at) ? "rx " : "r ") + at;
    if (std::ranges::find(found, sentence) == found.end()) found.push_back(std::move(sentence));
  }
  return found;
}

std::vector<std::string> unreadable_for(const std::string& user,
                                        const std::vector<std::string>& paths,
                                        const std::string& folder) {
  const passwd* entry = ::getpwnam(user.c_str());
  if (entry == nullptr) return {};
  std::array<gid_t, kGroupsMax> groups{};
  int count = kGroupsMax;
  if (::getgrouplist(user.c_str(), entry->pw_gid, groups.data(), &count) < 0) count = kGroupsMax;
  const Reader reader{user, entry->pw_uid, {groups.begin(), groups.begin() + count}};
  return unreadable_for(reader, paths, folder);
}

bool can_read_config(const std::vector<std::string>& paths) {
  return std::ranges::all_of(
      files_of(paths), [](const std::string& file) { return ::access(file.c_str(), R_OK) == 0; });
}

}  // namespace outrider::cli
