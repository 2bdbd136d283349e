// SPDX-License-Identifier: Apache-2.0
#include "agent/process/standard_streams.h"

#include <cerrno>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace outrider {
namespace {

/// Runs `body` in a child, whose descriptors are its own; its exit status.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = -1;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE("a program that was started without standard streams has all three") {
  for (int closed = 1; closed < 8; ++closed) {
    CAPTURE(closed);
    CHECK(in_child([closed] {
            for (int fd = 0; fd < 3; ++fd)
              if ((closed & (1 << fd)) != 0) ::close(fd);
            open_standard_streams();
            for (int fd = 0; fd < 3; ++fd)
              if (::fcntl(fd, F_GETFD) < 0) return 1;
            return ::open("/dev/null", O_RDONLY) > 2 ? 0 : 2;
          }) == 0);
  }
}

TEST_CASE("a closed standard input or output still fails when it is used") {
  CHECK(in_child([] {
          ::close(0);
          ::close(1);
          open_standard_streams();
          char octet = 0;
          const bool failed = ::read(0, &octet, 1) < 0 && ::write(1, &octet, 1) < 0;
          return failed && ::write(2, "", 0) == 0 ? 0 : 1;
        }) == 0);
}

}  // namespace
}  // namespace outrider
