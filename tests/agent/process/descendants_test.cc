// SPDX-License-Identifier: Apache-2.0
#include "agent/process/descendants.h"

#include <csignal>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace outrider;

TEST_CASE("kDescendantsMax descendants are found, and the others with the next look") {
  constexpr std::size_t kMore = 3;
  std::vector<pid_t> children;
  for (std::size_t i = 0; i < kDescendantsMax + kMore; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::pause();
      ::_exit(0);
    }
    REQUIRE(child > 0);
    children.push_back(child);
  }
  const auto end = [](std::int64_t child) {
    ::kill(static_cast<pid_t>(child), SIGKILL);
    ::waitpid(static_cast<pid_t>(child), nullptr, 0);
  };
  const std::vector<std::int64_t> first = descendants();
  CHECK(first.size() == kDescendantsMax);
  for (const std::int64_t child : first)
    end(child);
  CHECK(descendants().size() == kMore);
  for (const pid_t child : children)
    end(child);
  CHECK(descendants().empty());
}

TEST_CASE("a process whose first thread has ended still runs, and so do children of children") {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::thread([&] {
      const pid_t grandchild = ::fork();
      if (grandchild > 0) (void)!::write(ready[1], &grandchild, sizeof grandchild);
      for (;;)
        ::pause();
    }).detach();
    ::syscall(SYS_exit, 0);  // this thread alone
  }
  pid_t grandchild = 0;
  ::close(ready[1]);
  REQUIRE(::read(ready[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  CHECK(descendants() == std::vector<std::int64_t>{child, grandchild});
  ::kill(child, SIGKILL);
  ::kill(grandchild, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
}
