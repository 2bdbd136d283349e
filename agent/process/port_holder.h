// SPDX-License-Identifier: Apache-2.0
// Who holds an address that we could not bind, for the message about it.
#pragma once

#include <string>

#include "base/address.h"

namespace outrider {

/// "dnsmasq (pid 812)", as far as /proc shows it to us; "another user's process" when the socket
/// is there but its owner is hidden; empty when no socket is found.
std::string port_holder(const Endpoint& endpoint);

}  // namespace outrider
