// SPDX-License-Identifier: Apache-2.0
#include "base/uv/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/assert.h"

namespace outrider::uv {

NetError net_error(int error_number) {
  switch (error_number) {
    case EADDRINUSE:
      return NetError::in_use;
    case EACCES:
    case EPERM:
      return NetError::denied;
    case EADDRNOTAVAIL:
    case ENODEV:
    case ENXIO:
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
      return NetError::not_available;
    case ECONNREFUSED:
      return NetError::refused;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return NetError::reset;
    case ETIMEDOUT:
      return NetError::timed_out;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
      return NetError::unreachable;
    case EMSGSIZE:
      return NetError::too_big;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
      return NetError::no_resources;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
    case ENOPROTOOPT:
    case ENOSYS:
      return NetError::unsupported;
    default:  // errno is an open set
      return NetError::failed;
  }
}

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

socklen_t store_endpoint(const Endpoint& endpoint, sockaddr_storage& to) {
  const Bytes bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(to);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, bytes.data(), sizeof v4.sin_addr);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(to);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  v6.sin6_flowinfo = 0;
  std::memcpy(&v6.sin6_addr, bytes.data(), sizeof v6.sin6_addr);
  v6.sin6_scope_id = endpoint.address.scope();
  return sizeof v6;
}

Endpoint load_endpoint(const sockaddr_storage& from) {
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    return {IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), 4}),
            ntohs(v4.sin_port)};
  }
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    return {IpAddress::from_bytes({v6.sin6_addr.s6_addr, 16}, v6.sin6_scope_id),
            ntohs(v6.sin6_port)};
  }
  return {};
}

SocketAddress::SocketAddress(const Endpoint& endpoint) : size(store_endpoint(endpoint, storage)) {}

SocketAddress::SocketAddress(const UnixPath& path) {
  auto& un = reinterpret_cast<sockaddr_un&>(storage);
  un.sun_family = AF_UNIX;
  if (path.path.empty() || path.path.size() >= sizeof un.sun_path) return;
  std::ranges::copy(path.path, un.sun_path);
  const bool abstract = path.path.front() == '@';
  if (abstract) un.sun_path[0] = '\0';
  // A name in the abstract namespace has no terminator: its length counts.
  size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.path.size() +
                                (abstract ? 0 : 1));
}

SocketAddress::SocketAddress(const StreamAddress& address)
    : SocketAddress(std::visit([](const auto& one) { return SocketAddress(one); }, address)) {}

StreamAddress SocketAddress::to_stream_address() const {
  if (storage.ss_family != AF_UNIX) return load_endpoint(storage);
  const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
  constexpr std::size_t kHead = offsetof(sockaddr_un, sun_path);
  if (size <= kHead) return UnixPath{};
  std::string path(un.sun_path, size - kHead);
  if (path.front() == '\0')
    path.front() = '@';
  else
    path.resize(std::min(path.find('\0'), path.size()));
  return UnixPath{path};
}

Result<FileDescriptor, NetError> open_socket(int family, int type) {
  FileDescriptor fd(::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return failure(net_error(errno));
  return fd;
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

SocketAddress local_address(int fd) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getsockname(fd, address.data(), &address.size) != 0) address.size = 0;
  return address;
}

}  // namespace outrider::uv
