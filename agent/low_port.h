// SPDX-License-Identifier: Apache-2.0
// Ports that only root may bind, and what to do about it.
#pragma once

#include <cstdint>
#include <string>

#include "base/address.h"
#include "base/net.h"

namespace outrider {

/// Below the lowest port that any user may bind (net.ipv4.ip_unprivileged_port_start).
bool is_low_port(std::uint16_t port);
/// Why an address cannot be bound. `socket`: the systemd unit that binds it for the agent; null:
/// there is none.
std::string why_unbound(const Endpoint& address, NetError error, const char* socket);

}  // namespace outrider
