// SPDX-License-Identifier: Apache-2.0
#include "agent/process/descendants.h"

#include <csignal>
#include <vector>

#include <doctest/doctest.h>
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
