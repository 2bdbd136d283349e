// SPDX-License-Identifier: Apache-2.0
// Sockets that a service manager has bound for us and handed over as descriptors 3, 4, …
// (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS). A socket that is then opened on such an address is
// the inherited one; that is how an agent without privileges listens on port 53.
#pragma once

#include <span>
#include <vector>

#include "base/uv/socket.h"

namespace outrider::uv {

inline constexpr int kInheritedMax = 64;  // further ones are not used

class InheritedSockets {
 public:
  /// Takes the sockets that the environment describes, and removes its variables. Only for a
  /// program of our own: the descriptors of a host program belong to the host.
  static void take_from_environment();
  /// The sockets that were taken; none before.
  static const InheritedSockets& of_process();

  InheritedSockets() = default;
  /// `first` and the `count - 1` descriptors after it. They are closed on exec from now on.
  InheritedSockets(int first, int count);

  /// A duplicate of the socket of this type (SOCK_DGRAM, SOCK_STREAM) on this address; empty if
  /// there is none. The original stays open, so that the address can be opened again.
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
