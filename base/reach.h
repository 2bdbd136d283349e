// SPDX-License-Identifier: Apache-2.0
// Which hosts the agent sends requests to: one rule for probes, schemas, manifests and pushes, so
// that neither a program that registers a service nor a peer on the LAN can make this host talk to
// others, or to the metadata services of clouds, which trust every client that can reach them.
//
// Pure. It is applied when a target is registered, so that the mistake is reported, and again by
// each request, because addresses come and go.
#pragma once

#include <cstdint>
#include <span>

#include "base/net.h"

namespace outrider {

/// How far a request may go depends on who named its target.
enum class Reach : std::uint8_t {
  this_host,  // a registration: loopback and this host's addresses
  lan,        // a peer: every host, but not loopback, which is never where the peer is
  any_host,   // the configuration
};

enum class ReachError : std::uint8_t {
  not_ours,     // beyond Reach::this_host
  loopback,     // named by a peer
  link_local,   // 169.254.0.0/16; fe80::/10 on this host or without a scope
  metadata,     // addresses outside these ranges where clouds serve credentials
  multicast,    // and broadcast
  unspecified,  // a wildcard, no port, an empty path
};
const char* to_string(ReachError error);
/// A sentence for people, with what can be done about it.
const char* explain(ReachError error);

/// `own`: the addresses of this host's interfaces, at the moment of asking; used for this_host
/// only. Loopback and Unix sockets are always this host's own.
Result<void, ReachError> check_reach(const StreamAddress& target, std::span<const IpAddress> own,
                                     Reach reach);
/// The addresses of interfaces, as check_reach wants them.
std::vector<IpAddress> own_addresses(const std::vector<Interface>& interfaces);
/// The same rule for this host as it is now.
Result<void, ReachError> check_reach(const StreamAddress& target, Network& network, Reach reach);

}  // namespace outrider
