// SPDX-License-Identifier: Apache-2.0
// Whether the user that the units run as can read a configuration. The user who checks it is often
// root, who can read everything.
#pragma once

#include <string>
#include <vector>

#include <unistd.h>

namespace outrider::cli {

/// Of the units.
inline constexpr const char* kAgentUser = "outrider";
/// Where their configuration is.
inline constexpr const char* kUnitsFolder = "/etc/outrider";

struct Reader {
  std::string name;
  uid_t user = 0;
  std::vector<gid_t> groups;
};

/// The first of the files, directories and their *.json in `paths` below `folder` that the reader
/// cannot reach or read, each as a sentence with the command that changes it.
std::vector<std::string> unreadable_for(const Reader& reader, const std::vector<std::string>& paths,
                                        const std::string& folder);
/// The same for a user by name; empty if the user does not exist.
std::vector<std::string> unreadable_for(const std::string& user,
                                        const std::vector<std::string>& paths,
                                        const std::string& folder);
/// Whether this user can read all of them.
bool can_read_config(const std::vector<std::string>& paths);

}  // namespace outrider::cli
