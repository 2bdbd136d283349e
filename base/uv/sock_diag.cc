// SPDX-License-Identifier: Apache-2.0
#include "base/uv/sock_diag.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace outrider::uv {
namespace {

// 1 << TCP_ESTABLISHED and 1 << TCP_LISTEN of the kernel's own enum.
constexpr std::uint32_t kEstablished = 1U << 1;
constexpr std::uint32_t kListening = 1U << 10;
constexpr std::size_t kReadBytes = 32U << 10;

class Socket {
 public:
  Socket() : fd_(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct Sum {
  std::uint32_t connections = 0;
  std::uint32_t measured = 0;
  std::uint64_t rtt_us = 0;
};
using Sums = std::unordered_map<Endpoint, Sum, AddressHash>;

/// Netlink speaks in structs of host order: takes one off the front of `bytes`, as far as it goes.
template <class Struct>
std::optional<Struct> front(Bytes bytes) {
  Struct out{};
  if (bytes.size() < sizeof out) return std::nullopt;
  std::memcpy(&out, bytes.data(), sizeof out);
  return out;
}
Bytes without_front(Bytes bytes, std::size_t size) {
  return bytes.subspan(std::min(bytes.size(), size));
}
/// Messages and attributes alike are padded to four octets.
std::size_t padded(std::size_t size) {
  return (size + 3U) & ~std::size_t{3U};
}

/// IPv4-mapped addresses of dual-stack sockets become IPv4 by themselves.
IpAddress address_of(const inet_diag_msg& message, const __be32 (&words)[4]) {
  const auto* octets = reinterpret_cast<const std::uint8_t*>(&words[0]);
  const std::size_t size = message.idiag_family == AF_INET ? 4 : 16;
  const IpAddress address = IpAddress::from_bytes({octets, size});
  const bool scoped = address.is_v6() && address.is_link_local();
  return scoped ? address.with_scope(message.id.idiag_if) : address;
}
Endpoint remote_of(const inet_diag_msg& message) {
  return {address_of(message, message.id.idiag_dst), ntohs(message.id.idiag_dport)};
}
Endpoint local_of(const inet_diag_msg& message) {
  return {address_of(message, message.id.idiag_src), ntohs(message.id.idiag_sport)};
}

/// tcpi_rtt in microseconds; 0 where there is none. The struct grows with the kernel.
std::uint32_t rtt_of(Bytes attributes) {
  while (const auto attribute = front<rtattr>(attributes)) {
    if (attribute->rta_len < sizeof(rtattr) || attribute->rta_len > attributes.size()) break;
    if (attribute->rta_type == INET_DIAG_INFO) {
      const Bytes content = attributes.first(attribute->rta_len).subspan(sizeof(rtattr));
      tcp_info info{};
      std::memcpy(&info, content.data(), std::min(sizeof info, content.size()));
      return info.tcpi_rtt;
    }
    attributes = without_front(attributes, padded(attribute->rta_len));
  }
  return 0;
}

/// `extension`: 1 << (INET_DIAG_… - 1), what the kernel adds to each socket.
Result<void, NetError> ask(int fd, std::uint8_t family, std::uint32_t states,
                           std::uint8_t extension) {
  struct {
    nlmsghdr header;
    inet_diag_req_v2 body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = family;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_ext = extension;
  request.body.idiag_states = states;
  const ssize_t sent = ::send(fd, &request, sizeof request, 0);
  if (sent != static_cast<ssize_t>(sizeof request)) return failure(NetError::failed);
  return {};
}

void count(const inet_diag_msg& message, Bytes attributes, Sums& sums) {
  const auto found = sums.find(remote_of(message));
  if (found == sums.end()) return;
  ++found->second.connections;
  if (const std::uint32_t rtt = rtt_of(attributes); rtt > 0) {
    found->second.rtt_us += rtt;
    ++found->second.measured;
  }
}

/// Reads one dump to its end. `take(message, attributes)` returns false to end it early; the result
/// is then false, too.
template <class Take>
Result<bool, NetError> read_dump(int fd, Take take) {
  std::vector<std::uint8_t> buffer(kReadBytes);
  while (true) {
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return failure(NetError::failed);
    Bytes left(buffer.data(), static_cast<std::size_t>(size));
    while (const auto header = front<nlmsghdr>(left)) {
      if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > left.size()) break;
      if (header->nlmsg_type == NLMSG_DONE) return true;
      if (header->nlmsg_type == NLMSG_ERROR) return failure(NetError::unsupported);
      const Bytes body = left.first(header->nlmsg_len).subspan(sizeof(nlmsghdr));
      if (const auto message = front<inet_diag_msg>(body);
          message && !take(*message, without_front(body, sizeof(inet_diag_msg))))
        return false;
      left = without_front(left, padded(header->nlmsg_len));
    }
  }
}

/// Both families, one after the other.
template <class Take>
Result<void, NetError> dump(std::uint32_t states, std::uint8_t extension, Take take) {
  const Socket socket;
  if (socket.fd() < 0) return failure(NetError::unsupported);
  for (const int family : {AF_INET, AF_INET6}) {
    const auto asked = ask(socket.fd(), static_cast<std::uint8_t>(family), states, extension);
    if (!asked) return asked;
    const auto whole = read_dump(socket.fd(), take);
    if (!whole) return failure(whole.error());
    if (!*whole) break;
  }
  return {};
}

}  // namespace

Result<std::unordered_map<Endpoint, SocketCount, AddressHash>, NetError> count_sockets(
    std::span<const Endpoint> remotes, std::size_t most) {
  Sums sums;
  for (const Endpoint& remote : remotes)
    sums.emplace(remote, Sum{});
  std::size_t seen = 0;
  const auto dumped = dump(kEstablished, 1U << (INET_DIAG_INFO - 1),
                           [&](const inet_diag_msg& message, Bytes attributes) {
                             if (++seen > most) return false;
                             count(message, attributes, sums);
                             return true;
                           });
  if (!dumped) return failure(dumped.error());
  std::unordered_map<Endpoint, SocketCount, AddressHash> counts;
  for (const auto& [remote, sum] : sums) {
    if (sum.connections == 0) continue;
    SocketCount& out = counts[remote];
    out.connections = sum.connections;
    if (sum.measured > 0) out.rtt = std::chrono::microseconds(sum.rtt_us / sum.measured);
  }
  return counts;
}

Result<std::vector<TcpListener>, NetError> list_listeners(std::size_t most) {
  std::vector<TcpListener> listeners;
  const auto dumped = dump(kListening, 0, [&](const inet_diag_msg& message, Bytes) {
    if (listeners.size() >= most) return false;
    listeners.push_back({local_of(message), message.idiag_inode});
    return true;
  });
  if (!dumped) return failure(dumped.error());
  return listeners;
}

}  // namespace outrider::uv
