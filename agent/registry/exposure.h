// SPDX-License-Identifier: Apache-2.0
// Whether clients reach the program behind a registration. A check on 127.0.0.1 passes for a
// program that listens on loopback only, and fails without a reason for one that ignores $PORT; the
// kernel's table of listening sockets tells. Pure.
//
//   kernel ▸ agent/exposure_watch ▸ exposure_of ▸ Registry::put, set_exposure ▸ scope, log, `why`,
//   `doctor`
#pragma once

#include <cstdint>
#include <span>

#include "agent/registry/model.h"

namespace outrider::registry {

/// `listeners` are all TCP sockets of this host that listen. Registrations with addresses of their
/// own are checked at these addresses, and do not need it.
Exposure exposure_of(std::uint16_t port, Scope configured, std::span<const Endpoint> listeners);

/// Connections to `port` at 127.0.0.1 are refused, but sockets of other addresses listen on it.
/// Without a limit if that explains nothing.
Exposure exposure_apart(std::uint16_t port, std::span<const Endpoint> listeners);

/// Nothing listens on `port`, but the program of `outrider run` listens on `program_ports`. Without
/// a limit if that explains nothing.
Exposure exposure_elsewhere(std::uint16_t port, std::span<const std::uint16_t> program_ports);

}  // namespace outrider::registry
