// SPDX-License-Identifier: Apache-2.0
#include "agent/process/install_record.h"

#include <cerrno>

#include <unistd.h>

#include "base/trusted_file.h"

namespace outrider {

std::string under(const std::string& root, std::string_view path) {
  return (root == "/" ? std::string() : root) + std::string(path);
}

Result<std::optional<InstallRecord>, std::string> find_install_record(const std::string& root) {
  std::string path = under(root, kDnsInstallRecord);
  auto text = load_trusted_file(path, InFolder::trusted);
  if (text && !*text) {
    path = under(root, kEarlierDnsInstallRecord);
    // Other users may not even look into the agent's state directory.
    if (::access(path.c_str(), F_OK) != 0 && errno == EACCES) return std::optional<InstallRecord>();
    text = load_trusted_file(path, InFolder::any);
  }
  if (!text)
    return failure(text.error() +
                   "; delete it, and see for yourself whether the resolver of this host still asks "
                   "the agent");
  if (!*text) return std::optional<InstallRecord>();
  return std::optional(InstallRecord{std::move(path), std::move(**text)});
}

}  // namespace outrider
