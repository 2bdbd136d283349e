// SPDX-License-Identifier: Apache-2.0
// Sockets that a service manager has bound for us and handed over as descriptors 3, 4, …
// (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS). Whoever then opens a socket on such an address gets
// the one that is there, which is how an agent without privileges has port 53.
#pragma once

#include <span>
#include <vector>

#include "base/uv/socket.h"

namespace outrider::uv {

inline constexpr int kInheritedMax = 64;  // what more is handed over stays unused

class InheritedSockets {
 public:
  /// Takes those of this process as the environment tells, and removes its variables. Only a
  /// program that is ours may: the descriptors of a host program are the host's.
  static void take_from_environment();
  /// What was taken; none before.
  static const InheritedSockets& of_process();

  InheritedSockets() = default;
  /// `first` and the `count - 1` descriptors after it. They are closed on exec from now on.
  InheritedSockets(int first, int count);

  /// A duplicate of the socket of this type (SOCK_DGRAM, SOCK_STREAM) on this address; nothing if
  /// there is none. The original stays, so that the address can be opened again.
  FileDescriptor find(int type, const Endpoint& address) const;
  /// The addresses of the datagram sockets.
  std::vector<Endpoint> datagram_addresses() const;

 private:
  struct Socket {
    FileDescriptor fd;
    int type;
    Endpoint address;
  };
  std::vector<Socket> sockets_;
};

}  // namespace outrider::uv
