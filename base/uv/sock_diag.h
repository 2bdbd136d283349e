// SPDX-License-Identifier: Apache-2.0
// What the kernel knows about TCP sockets of this network namespace: how many connections to an
// endpoint are established, how long a round trip takes, and which sockets listen. A netlink dump
// (sock_diag(7)) answers each question for all sockets; it needs no privilege. sock_diag.cc is the
// only includer of linux/inet_diag.h.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/net.h"

namespace outrider::uv {

/// Connections that one count looks at; a host with more is counted in part.
inline constexpr std::size_t kSocketsCountedMax = 65'536;

struct SocketCount {
  std::uint32_t connections = 0;
  Duration rtt{};  // mean of tcpi_rtt over the connections that have one; zero without any
};

/// Established connections from this host to each of `remotes`; those without any are left out.
/// Looks at `most` connections. Does not wait: the kernel answers within the call.
Result<std::unordered_map<Endpoint, SocketCount, AddressHash>, NetError> count_sockets(
    std::span<const Endpoint> remotes, std::size_t most = kSocketsCountedMax);

struct TcpListener {
  /// A wildcard address stands for every address.
  Endpoint local;
  std::uint32_t inode = 0;  // /proc/PID/fd shows "socket:[INODE]"
};
/// Listening sockets that one list has; further ones are left out.
inline constexpr std::size_t kListenersMax = 16'384;
/// At most `most` of them. Does not wait, as above.
Result<std::vector<TcpListener>, NetError> list_listeners(std::size_t most = kListenersMax);

}  // namespace outrider::uv
