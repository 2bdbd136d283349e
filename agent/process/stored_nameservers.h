// SPDX-License-Identifier: Apache-2.0
// What `outrider dns install` has replaced. Where the agent has become the only nameserver in
// resolv.conf, it forwards to those that were there before.
#pragma once

#include <string>

namespace outrider {

inline constexpr const char* kDnsInstallRecord = "/var/lib/outrider/dns-install.json";

/// The text of /etc/resolv.conf before the installation; empty if it was not changed by one.
std::string stored_resolv_conf(const std::string& record);

}  // namespace outrider
