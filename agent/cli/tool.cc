// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/tool.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace outrider::cli {
namespace {

/// Its process id; 0 if it cannot be run.
pid_t spawn(const std::vector<std::string>& words, const posix_spawn_file_actions_t* actions) {
  std::vector<char*> argv;
  for (const std::string& word : words)
    argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  return ::posix_spawnp(&pid, argv[0], actions, nullptr, argv.data(), environ) == 0 ? pid : 0;
}

bool ends_well(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

bool run_tool(const std::vector<std::string>& words) {
  const pid_t pid = spawn(words, nullptr);
  return pid != 0 && ends_well(pid);
}

std::string output_of_tool(const std::vector<std::string>& words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  const pid_t pid = spawn(words, &actions);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string text;
  std::array<char, 4'096> piece{};
  // To the end in any case: a program that finds the pipe closed would fail.
  while (true) {
    const ssize_t got = ::read(ends[0], piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    if (text.size() + static_cast<std::size_t>(got) <= kToolOutputBytesMax)
      text.append(piece.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  if (pid != 0) (void)ends_well(pid);
  return text;
}

}  // namespace outrider::cli
