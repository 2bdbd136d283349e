// SPDX-License-Identifier: Apache-2.0
#include "base/uv/inherited.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"

namespace outrider::uv {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START

int number_of(const char* variable) {
  const char* text = std::getenv(variable);
  return text == nullptr ? 0 : parse_number<int>(text).value_or(0);
}

InheritedSockets from_environment() {
  const bool ours = number_of("LISTEN_PID") == ::getpid();
  const int count = ours ? std::clamp(number_of("LISTEN_FDS"), 0, kInheritedMax) : 0;
  const char* const text = std::getenv("LISTEN_FDNAMES");
  const std::string whole = text == nullptr ? "" : text;
  std::vector<std::string_view> names;
  for (std::string_view rest = whole; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    names.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // Children have other descriptors and other pids.
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
    ::unsetenv(variable);
  return {kFirst, count, names};
}

InheritedSockets& taken() {
  static InheritedSockets sockets;
  return sockets;
}

}  // namespace

void InheritedSockets::take_from_environment() {
  taken() = from_environment();
}

InheritedSockets& InheritedSockets::of_process() {
  return taken();
}

InheritedSockets::InheritedSockets(int first, int count, std::span<const std::string_view> names) {
  for (int fd = first; fd < first + count; ++fd) {
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) continue;
    int type = 0;
    socklen_t size = sizeof type;
    const SocketAddress local = local_address(fd);
    const bool internet = local.size != 0 && (local.storage.ss_family == AF_INET ||
                                              local.storage.ss_family == AF_INET6);
    if (!internet || ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) continue;
    const auto number = static_cast<std::size_t>(fd - first);
    sockets_.push_back({FileDescriptor(fd), type, load_endpoint(local.storage),
                        std::string(number < names.size() ? names[number] : "")});
  }
}

FileDescriptor InheritedSockets::find(int type, const Endpoint& address) const {
  for (const Socket& socket : sockets_) {
    if (socket.type != type || socket.address != address) continue;
    FileDescriptor copy(::fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, 0));
    const int flags = ::fcntl(copy.get(), F_GETFL);
    if (copy && ::fcntl(copy.get(), F_SETFL, flags | O_NONBLOCK) == 0) return copy;
  }
  return {};
}

std::vector<Endpoint> InheritedSockets::datagram_addresses() const {
  std::vector<Endpoint> addresses;
  for (const Socket& socket : sockets_)
    if (socket.type == SOCK_DGRAM && !socket.is_kept()) addresses.push_back(socket.address);
  return addresses;
}

void InheritedSockets::close(std::string_view name) {
  std::erase_if(sockets_, [name](const Socket& socket) { return socket.name == name; });
}

}  // namespace outrider::uv
