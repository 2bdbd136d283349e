// SPDX-License-Identifier: Apache-2.0
// Where `outrider dns install` keeps what it has replaced: in a folder of root's own, which every
// user may read. Root writes what the record says, so that it counts only if no other user can have
// written it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace outrider {

inline constexpr std::string_view kDnsInstallRecord = "/var/lib/outrider-dns/install.json";
/// Of earlier builds, in the state directory of the agent. The folder is not root's, the file is.
inline constexpr std::string_view kEarlierDnsInstallRecord = "/var/lib/outrider/dns-install.json";

struct InstallRecord {
  std::string path;  // under the root
  std::string text;
};

/// `root` is "/", or the folder that plays its part.
std::string under(const std::string& root, std::string_view path);
/// The record in the present place, else in the earlier one; nothing if there is none. The error
/// says which file is not trusted, and why.
Result<std::optional<InstallRecord>, std::string> find_install_record(const std::string& root);

}  // namespace outrider
