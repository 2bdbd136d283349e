// SPDX-License-Identifier: Apache-2.0
#include "base/socket_silence.h"

#include <algorithm>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace outrider {
namespace {

/// Questions without an answer that break the connection.
constexpr int kKeepAliveProbes = 3;

void set_option(int fd, int level, int name, int value) {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

}  // namespace

void limit_silence(int fd, Duration keep_alive, Duration unacknowledged_max) {
  const auto seconds = [](Duration duration) {
    return std::max(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(duration).count()));
  };
  if (keep_alive > Duration::zero()) {
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(keep_alive));
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(keep_alive / kKeepAliveProbes));
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  }
  if (unacknowledged_max > Duration::zero()) {
    const auto limit = std::chrono::ceil<std::chrono::milliseconds>(unacknowledged_max);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limit.count()));
  }
}

}  // namespace outrider
