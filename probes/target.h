// SPDX-License-Identifier: Apache-2.0
// Which targets may be probed at all. A pure rule for the configuration and for the API, so that
// nobody who may register a check can make this host talk to others, or to the metadata services
// of clouds, which trust whoever can reach them.
#pragma once

#include <cstdint>
#include <span>

#include "base/net.h"

namespace outrider::probes {

enum class TargetError : std::uint8_t {
  not_ours,     // not an address of this host, and allow_remote is not set
  link_local,   // 169.254.0.0/16, fe80::/10
  metadata,     // addresses outside these ranges where clouds serve credentials
  multicast,    // and broadcast
  unspecified,  // a wildcard, no port, an empty path
};
const char* to_string(TargetError error);
/// A sentence for people, with what can be done about it.
const char* explain(TargetError error);

/// `own`: the addresses of this host's interfaces, at the moment of asking. Loopback and Unix
/// sockets are always this host's own.
Result<void, TargetError> check_target(const StreamAddress& target, std::span<const IpAddress> own,
                                       bool allow_remote);
/// The addresses of interfaces, as check_target wants them.
std::vector<IpAddress> own_addresses(const std::vector<Interface>& interfaces);

}  // namespace outrider::probes
