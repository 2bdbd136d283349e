// SPDX-License-Identifier: Apache-2.0
#include "agent/process/standard_streams.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace outrider {

void open_standard_streams() {
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_RDWR};
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one.
    if (::open("/dev/null", kModes[fd]) < 0) return;
  }
}

}  // namespace outrider
