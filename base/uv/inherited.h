// SPDX-License-Identifier: Apache-2.0
// Sockets that a service manager has bound for us and handed over as descriptors 3, 4, …
// (sd_listen_fds(3): LISTEN_PID, LISTEN_FDS). A socket that is then opened on such an address is
// the inherited one; that is how an agent without privileges listens on port 53.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/uv/socket.h"

namespace outrider::uv {

inline constexpr int kInheritedMax = 64;  // further ones are not used
/// Begins the names (FDNAME) of sockets that the program bound itself and left with the service
/// manager for its next process; those of the unit's own sockets are chosen by people.
inline constexpr std::string_view kKeptPrefix = "outrider-kept-";

class InheritedSockets {
 public:
  /// Takes the sockets that the environment describes, and removes its variables. Only for a
  /// program of our own: the descriptors of a host program belong to the host.
  static void take_from_environment();
  /// The sockets that were taken; none before.
  static InheritedSockets& of_process();

  InheritedSockets() = default;
  /// `first` and the `count - 1` descriptors after it, with their names. They are closed on exec
  /// from now on.
  InheritedSockets(int first, int count, std::span<const std::string_view> names = {});

  /// A duplicate of the socket of this type (SOCK_DGRAM, SOCK_STREAM) on this address; empty if
  /// there is none. The original stays open, so that the address can be opened again.
  FileDescriptor find(int type, const Endpoint& address) const;
  /// The addresses of the datagram sockets, but for kept ones: those are the configuration's.
  std::vector<Endpoint> datagram_addresses() const;

  struct Socket {
    FileDescriptor fd;
    int type = 0;
    Endpoint address;
    std::string name;
    bool is_kept() const { return name.starts_with(kKeptPrefix); }
  };
  const std::vector<Socket>& all() const { return sockets_; }
  /// From now on it is found, too.
  void add(Socket socket) { sockets_.push_back(std::move(socket)); }
  /// Closes all of this name.
  void close(std::string_view name);

 private:
  std::vector<Socket> sockets_;
};

}  // namespace outrider::uv
