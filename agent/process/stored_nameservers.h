// SPDX-License-Identifier: Apache-2.0
// What `outrider dns install` has replaced. Where the agent has become the only nameserver in
// resolv.conf, it forwards to those that were there before.
#pragma once

#include <string>

namespace outrider {

/// The text of /etc/resolv.conf before the installation; empty if it was not changed by one, or if
/// its record is not trusted (install_record.h).
std::string stored_resolv_conf(const std::string& root);

}  // namespace outrider
