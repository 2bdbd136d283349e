// SPDX-License-Identifier: Apache-2.0
// echo_limit ADDRESS:PORT
//
// What the kernel's UDP path allows one thread: a blocking recvmmsg, the QR bit, sendmmsg, and
// nothing else. Answers of real servers are longer, so no server quite reaches it.
#include <array>
#include <cstdio>

#include <sys/socket.h>

#include "base/uv/socket.h"

namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kBytes = 2048;
constexpr int kBufferBytes = 4 << 20;

std::array<std::array<std::uint8_t, kBytes>, kBatch> buffers;
std::array<sockaddr_storage, kBatch> senders;
std::array<iovec, kBatch> parts;
std::array<mmsghdr, kBatch> messages;

int open(const outrider::Endpoint& on) {
  const int fd = ::socket(outrider::uv::family_of(on.address), SOCK_DGRAM, 0);
  outrider::uv::set_option(fd, SOL_SOCKET, SO_RCVBUF, kBufferBytes);
  outrider::uv::set_option(fd, SOL_SOCKET, SO_SNDBUF, kBufferBytes);
  const outrider::uv::SocketAddress address(on);
  return ::bind(fd, address.data(), address.size) == 0 ? fd : -1;
}

void echo(int fd) {
  for (std::size_t i = 0; i < kBatch; ++i) {
    parts[i] = {buffers[i].data(), kBytes};
    messages[i].msg_hdr = {.msg_name = &senders[i],
                           .msg_namelen = sizeof senders[i],
                           .msg_iov = &parts[i],
                           .msg_iovlen = 1};
  }
  const int received = ::recvmmsg(fd, messages.data(), kBatch, MSG_WAITFORONE, nullptr);
  const auto count = static_cast<std::size_t>(received > 0 ? received : 0);
  for (std::size_t i = 0; i < count; ++i) {
    buffers[i][2] |= 0x80;
    parts[i].iov_len = messages[i].msg_len;
  }
  for (std::size_t sent = 0; sent < count;) {
    const int taken =
        ::sendmmsg(fd, messages.data() + sent, static_cast<unsigned>(count - sent), 0);
    if (taken <= 0) break;
    sent += static_cast<std::size_t>(taken);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto on = argc == 2 ? outrider::Endpoint::parse(argv[1]) : std::nullopt;
  if (!on) {
    std::fprintf(stderr, "usage: echo_limit ADDRESS:PORT\n");
    return 2;
  }
  const int fd = open(*on);
  if (fd < 0) {
    std::perror("echo_limit");
    return 1;
  }
  while (true)
    echo(fd);
}
