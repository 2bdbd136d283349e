// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <functional>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/cli/run/keyboard.h"
#include "base/text_file.h"
#include "base/uv/system.h"

namespace outrider::cli::beside {
namespace {

/// A terminal with a process on it that calls `wait` with the terminal's descriptor.
class Program {
 public:
  explicit Program(void (*wait)(int terminal)) {
    REQUIRE(::openpty(&master_, &slave_, nullptr, nullptr, nullptr) == 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      wait(slave_);
      ::_exit(0);
    }
  }
  ~Program() {
    ::kill(static_cast<pid_t>(pid_), SIGKILL);
    ::waitpid(static_cast<pid_t>(pid_), nullptr, 0);
    ::close(master_);
    ::close(slave_);
  }
  Program(const Program&) = delete;

  bool reads() const { return waits_for_input({&pid_, 1}, slave_); }
  /// Until it is so, or for ten seconds.
  bool comes_to(const std::function<bool()>& is_so) const {
    const TimePoint end = uv::now_outside() + 10s;
    while (!is_so() && uv::now_outside() < end)
      ::sched_yield();
    return is_so();
  }
  bool sleeps() const {
    const auto stat = read_text_file("/proc/" + std::to_string(pid_) + "/stat");
    return stat && stat->find(") S ") != std::string::npos;
  }

 private:
  int master_ = -1, slave_ = -1;
  std::int64_t pid_ = 0;
};

void read_it(int terminal) {
  char key = 0;
  (void)!::read(terminal, &key, 1);
}
void poll_it(int terminal) {
  pollfd items[] = {{-1, 0, 0}, {terminal, POLLIN, 0}};
  ::poll(items, 2, -1);
}
void select_it(int terminal) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(terminal, &set);
  ::select(terminal + 1, &set, nullptr, nullptr, nullptr);
}
void epoll_it(int terminal) {
  const int set = ::epoll_create1(0);
  epoll_event event{EPOLLIN, {}};
  ::epoll_ctl(set, EPOLL_CTL_ADD, terminal, &event);
  ::epoll_wait(set, &event, 1, -1);
}
void wait_to_write(int terminal) {
  pollfd items[] = {{terminal, POLLHUP, 0}};
  ::poll(items, 1, -1);
}
void poll_among_many(int terminal) {
  pollfd items[kPolledMax + 1];
  for (pollfd& item : items)
    item = {-1, 0, 0};
  items[kPolledMax] = {terminal, POLLIN, 0};
  ::poll(items, kPolledMax + 1, -1);
}
void pause_only(int) {
  ::pause();
}
void read_a_pipe(int) {
  int ends[2];
  char octet = 0;
  (void)!::pipe(ends);
  (void)!::read(ends[0], &octet, 1);
}

TEST_CASE("a program that waits for what is typed is seen, however it waits") {
  for (const auto wait : {read_it, poll_it, select_it, epoll_it}) {
    const Program program(wait);
    CHECK(program.comes_to([&] { return program.reads(); }));
  }
}

TEST_CASE("a program that has the terminal and waits for something else does not read it") {
  for (const auto wait : {pause_only, read_a_pipe, wait_to_write}) {
    const Program program(wait);
    REQUIRE(program.comes_to([&] { return program.sleeps(); }));
    CHECK_FALSE(program.reads());
  }
}

TEST_CASE("of what a program polls, the first kPolledMax are looked at") {
  const Program program(poll_among_many);
  REQUIRE(program.comes_to([&] { return program.sleeps(); }));
  CHECK_FALSE(program.reads());
}

TEST_CASE("what is no terminal, and a process that is gone, reads nothing") {
  const std::int64_t self = ::getpid(), gone = 0x7fffffff;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK_FALSE(waits_for_input({&self, 1}, ends[0]));
  CHECK_FALSE(waits_for_input({&gone, 1}, STDIN_FILENO));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace outrider::cli::beside
