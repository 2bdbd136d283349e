// SPDX-License-Identifier: Apache-2.0
#include "agent/process/kept_sockets.h"

#include <algorithm>
#include <string>
#include <vector>

#include <netinet/in.h>

#include "dns/limits.h"

namespace outrider {
namespace {

enum class Share : std::uint8_t { no, yes };

struct Wanted {
  Endpoint address;
  std::vector<int> types;  // all, or none of them
  Share share;             // with other agents
};

std::vector<Wanted> wanted_sockets(const Config& config) {
  std::vector<Wanted> all;
  for (const Endpoint& address : config.dns.listen)
    all.push_back({address, {SOCK_DGRAM, SOCK_STREAM}, Share::yes});
  for (const auto* list : {&config.web.listen, &config.web.tls_listen})
    for (const Endpoint& address : *list)
      all.push_back({address, {SOCK_STREAM}, Share::no});
  std::erase_if(all, [](const Wanted& wanted) { return wanted.address.port == 0; });
  return all;
}

/// A colon ends a name in LISTEN_FDNAMES.
std::string name_of(int type, const Endpoint& address) {
  std::string name =
      std::string(uv::kKeptPrefix) + (type == SOCK_DGRAM ? "udp-" : "tcp-") + address.to_string();
  std::ranges::replace(name, ':', '_');
  return name;
}

uv::FileDescriptor bound(int type, const Wanted& wanted) {
  auto opened = uv::open_socket(uv::family_of(wanted.address.address), type);
  if (!opened) return {};
  const int fd = opened->get();
  if (type == SOCK_STREAM) uv::set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (wanted.share == Share::yes && !uv::set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) return {};
  if (wanted.address.address.is_v6()) uv::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (type == SOCK_DGRAM)
    uv::set_option(fd, SOL_SOCKET, SO_RCVBUF, static_cast<int>(dns::kUdpReceiveBufferBytes));
  const uv::SocketAddress address(wanted.address);
  if (::bind(fd, address.data(), address.size) != 0) return {};
  if (type == SOCK_STREAM && ::listen(fd, SOMAXCONN) != 0) return {};
  return std::move(*opened);
}

bool has(const uv::InheritedSockets& sockets, int type, const Endpoint& address) {
  return std::ranges::any_of(sockets.all(), [&](const auto& socket) {
    return socket.type == type && socket.address == address;
  });
}

void close_unwanted(ServiceManager& manager, uv::InheritedSockets& sockets,
                    const std::vector<Wanted>& wanted) {
  std::vector<std::string> names;
  for (const auto& socket : sockets.all()) {
    const bool is_wanted = std::ranges::any_of(wanted, [&](const Wanted& one) {
      return one.address == socket.address && std::ranges::count(one.types, socket.type) > 0;
    });
    if (socket.is_kept() && !is_wanted) names.push_back(socket.name);
  }
  for (const std::string& name : names) {
    sockets.close(name);
    manager.unstore(name);
  }
}

}  // namespace

void keep_sockets(ServiceManager& manager, uv::InheritedSockets& sockets, const Config& config) {
  const std::vector<Wanted> wanted = wanted_sockets(config);
  close_unwanted(manager, sockets, wanted);
  auto kept = static_cast<std::size_t>(
      std::ranges::count_if(sockets.all(), [](const auto& socket) { return socket.is_kept(); }));
  for (const Wanted& one : wanted) {
    std::vector<uv::InheritedSockets::Socket> fresh;
    bool failed = false;
    for (const int type : one.types) {
      if (has(sockets, type, one.address)) continue;
      auto fd = bound(type, one);
      failed = failed || !fd;
      fresh.push_back({std::move(fd), type, one.address, name_of(type, one.address)});
    }
    // With one of the two alone, clients would wait for an answer that does not come.
    if (failed || kept + fresh.size() > kKeptSocketsMax) continue;
    kept += fresh.size();
    for (auto& socket : fresh) {
      manager.store(socket.name, socket.fd.get());
      sockets.add(std::move(socket));
    }
  }
}

}  // namespace outrider
