// SPDX-License-Identifier: Apache-2.0
// What the kernel knows about TCP connections of this network namespace: how many are established
// to an endpoint, and how long a round trip takes. One netlink dump (sock_diag(7)) answers for all
// endpoints; it needs no privilege. sock_diag.cc is the only includer of linux/inet_diag.h.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>

#include "base/net.h"

namespace outrider::uv {

/// Connections that one count looks at; a host with more is counted in part.
inline constexpr std::size_t kSocketsCountedMax = 65'536;

struct SocketCount {
  std::uint32_t connections = 0;
  Duration rtt{};  // mean of tcpi_rtt over the connections that have one; zero without any
};

/// Established connections from this host to each of `remotes`; those without any are left out.
/// Does not wait: the kernel answers within the call.
Result<std::unordered_map<Endpoint, SocketCount, AddressHash>, NetError> count_sockets(
    std::span<const Endpoint> remotes);

}  // namespace outrider::uv
