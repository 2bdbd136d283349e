// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/own_multicast.h"

#include <array>
#include <string>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace outrider::cli {
namespace {

constexpr int kPatienceMs = 500;
constexpr int kDatagramsMax = 64;

/// "outrider-doctor-PID.local", type A: a standard query (RFC 6762 §18).
std::string question() {
  const std::string label = "outrider-doctor-" + std::to_string(::getpid());
  std::string out("\0\0\0\0\0\1\0\0\0\0\0\0", 12);
  out += static_cast<char>(label.size());
  out += label;
  out += '\5';
  out += "local";
  out += std::string("\0\0\1\0\1", 5);
  return out;
}

bool set(int fd, int level, int option, const void* value, socklen_t size) {
  return ::setsockopt(fd, level, option, value, size) == 0;
}

/// Bound to the port beside other programs, and joined to the group; -1 if that is not possible.
int open_socket(unsigned interface, const addrinfo& group) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  ip_mreqn membership{};
  ::inet_pton(AF_INET, "224.0.0.251", &membership.imr_multiaddr);
  membership.imr_ifindex = static_cast<int>(interface);
  const bool ready = set(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) &&
                     set(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) &&
                     ::bind(fd, group.ai_addr, group.ai_addrlen) == 0 &&
                     set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &membership, sizeof membership) &&
                     set(fd, IPPROTO_IP, IP_MULTICAST_IF, &membership, sizeof membership) &&
                     set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on);
  if (ready) return fd;
  ::close(fd);
  return -1;
}

bool comes_back(int fd, const std::string& sent) {
  for (int i = 0; i < kDatagramsMax; ++i) {
    pollfd ready{fd, POLLIN, 0};
    if (::poll(&ready, 1, kPatienceMs) <= 0) return false;
    std::array<char, 2048> buffer{};
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0 && sent == std::string(buffer.data(), static_cast<std::size_t>(size))) return true;
  }
  return true;  // a busy link: it is heard, whatever became of ours
}

}  // namespace

bool hears_own_multicast(unsigned interface) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* group = nullptr;
  if (::getaddrinfo("224.0.0.251", "5353", &hints, &group) != 0) return true;
  bool heard = true;
  if (const int fd = open_socket(interface, *group); fd >= 0) {
    const std::string sent = question();
    const ssize_t size =
        ::sendto(fd, sent.data(), sent.size(), 0, group->ai_addr, group->ai_addrlen);
    // A firewall that drops what is sent makes the call fail.
    heard = size == static_cast<ssize_t>(sent.size()) && comes_back(fd, sent);
    ::close(fd);
  }
  ::freeaddrinfo(group);
  return heard;
}

}  // namespace outrider::cli
