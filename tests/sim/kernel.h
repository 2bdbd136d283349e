// SPDX-License-Identifier: Apache-2.0
// The inside of tests/sim: what a simulated host knows of its interfaces, sockets and streams.
// kernel.cc has interfaces and routes, udp.cc and stream.cc the two kinds of traffic.
//
// Handles (what users hold) own nothing but a share of their core; destroying the handle takes the
// core out of the kernel, and events that still fly find it closed.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/net.h"
#include "tests/sim/world.h"

namespace outrider::sim {

struct Nic {
  Interface info;
  Link* link = nullptr;
  bool admin_up = true;
};

struct Route {
  const Nic* nic = nullptr;
  IpAddress source;
  bool local = false;   // to this host itself
  bool routed = false;  // by the default route
};

struct UdpCore {
  Host* host = nullptr;
  UdpOptions options;
  Endpoint local;
  UdpSocket::Sink* sink = nullptr;
  bool open = true;
  bool paused = false;
  bool delivery_due = false;
  bool flush_due = false;

  struct Membership {
    IpAddress group;
    std::uint32_t interface;
    bool operator==(const Membership&) const = default;
  };
  std::vector<Membership> memberships;

  struct Received {
    std::shared_ptr<const WireDatagram> datagram;
    std::uint32_t interface;
  };
  std::deque<Received> received;
  std::size_t received_bytes = 0;

  struct Unsent {
    std::vector<std::uint8_t> payload;
    Endpoint to;
    IpAddress from;
    std::uint32_t interface;
  };
  std::vector<Unsent> unsent;
  std::size_t unsent_bytes = 0;
};

struct Connection;

struct ListenerCore {
  Host* host = nullptr;
  ListenOptions options;
  StreamAddress local;
  Listener::Sink* sink = nullptr;
  bool open = true;
  bool paused = false;
  std::deque<std::shared_ptr<Connection>> backlog;
};

struct ConnectCore {
  Host* host = nullptr;
  ConnectOptions options;
  std::vector<std::uint8_t> opening;
  ConnectCallback callback;
  bool open = true;
};

struct WatchCore {
  Callback<void()> callback;
  bool open = true;
};

struct Host::Kernel {
  Kernel(World& w, Host& h) : world(w), host(h) {}

  World& world;
  Host& host;
  std::unique_ptr<Network> network;
  std::vector<Nic> nics;
  std::uint32_t next_index = 1;
  std::string default_route;
  bool privileged = true;
  bool change_due = false;
  PeerCredentials credentials{4'242, 1'000, 1'000};

  std::vector<std::shared_ptr<UdpCore>> udp;  // in order of binding
  std::vector<std::shared_ptr<ListenerCore>> listeners;
  std::vector<std::shared_ptr<ConnectCore>> connects;
  std::vector<std::shared_ptr<Connection>> streams;  // one entry for each end that has a handle
  std::vector<std::shared_ptr<WatchCore>> watches;
  std::vector<std::string> dead_sockets;
  std::vector<std::pair<StreamAddress, Fault>> faults;
  std::vector<Callback<void()>> asleep_events;

  /// Runs `event` on this host: after `delay`, and not before it is awake.
  void schedule(Duration delay, Callback<void()> event);

  Nic* nic(std::uint32_t index);
  Nic& nic(const std::string& name);
  /// The interface that has this address and is up; scopes must agree where both have one.
  const Nic* nic_of(const IpAddress& address) const;
  /// Up, or why not: no carrier, set down.
  void changed();
  void refresh_up();
  std::optional<Route> route(const IpAddress& to, std::uint32_t interface) const;
  const Nic* multicast_nic(std::uint32_t interface, std::uint32_t scope) const;
  IpAddress source_on(const Nic& nic, const IpAddress& to) const;

  /// A free port for `address`, or 0.
  template <class Taken>
  std::uint16_t pick_port(const Taken& taken);

  // udp.cc
  Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions& options,
                                                        UdpSocket::Sink& sink);
  Result<void, NetError> join(UdpCore& core, const IpAddress& group, std::uint32_t interface);
  bool udp_taken(const Endpoint& local, const UdpOptions& options) const;
  void flush(const std::shared_ptr<UdpCore>& core);
  std::optional<NetError> put_on_wire(const UdpCore& core, const UdpCore::Unsent& unsent);
  void arrive(std::uint32_t interface, const std::shared_ptr<const WireDatagram>& datagram);
  void queue(const std::shared_ptr<UdpCore>& core, std::uint32_t interface,
             const std::shared_ptr<const WireDatagram>& datagram);
  void deliver(const std::shared_ptr<UdpCore>& core);

  // stream.cc
  std::unique_ptr<Pending> connect(const ConnectOptions& options, ConnectCallback callback);
  Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions& options,
                                                     Listener::Sink& sink);
  bool tcp_taken(const Endpoint& local, bool reuse_port) const;
  std::shared_ptr<ListenerCore> find_listener(const StreamAddress& to, std::uint64_t flow);
  Fault fault_of(const StreamAddress& to) const;
  void try_connect(const std::shared_ptr<ConnectCore>& core, int attempt);
  void fail_connect(const std::shared_ptr<ConnectCore>& core, Duration delay, NetError error);
  void accept(const std::shared_ptr<ListenerCore>& core);
};

template <class Taken>
std::uint16_t Host::Kernel::pick_port(const Taken& taken) {
  constexpr std::uint64_t kFirst = 32'768;
  constexpr std::uint64_t kCount = 28'232;  // ip_local_port_range of Linux
  const std::uint64_t start = world.random().below(kCount);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const auto port = static_cast<std::uint16_t>(kFirst + (start + i) % kCount);
    if (!taken(port)) return port;
  }
  return 0;
}

}  // namespace outrider::sim
