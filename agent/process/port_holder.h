// SPDX-License-Identifier: Apache-2.0
// Finds the process that holds an address, for the message about a failed bind.
#pragma once

#include <string>

#include "base/address.h"

namespace outrider {

/// "dnsmasq (pid 812)", as far as /proc shows it; "a process of another user" when the socket
/// exists but its owner is hidden; empty when no socket is found.
std::string port_holder(const Endpoint& endpoint);

}  // namespace outrider
