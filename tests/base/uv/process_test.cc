// SPDX-License-Identifier: Apache-2.0
// Children, their signals, and what they leave behind.
#include <algorithm>
#include <csignal>
#include <fstream>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

/// Runs `body` in a child of its own, so that signals and limits are its own too.
int in_child(int (*body)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ExitStatus run(Loop& loop, const SpawnOptions& options) {
  std::optional<ExitStatus> status;
  auto process = loop.spawn(options, [&](ExitStatus s) { status = s; });
  if (!process) return {.code = 126};
  turn_until(loop, [&] { return status.has_value(); });
  return status.value_or(ExitStatus{.code = 125});
}

TEST_CASE(
    "a program ignores what we were started to ignore, and has no handlers or blocks of ours") {
  CHECK(in_child([] {
          std::signal(SIGHUP, SIG_IGN);  // as nohup
          Loop loop;
          const auto taken = loop.take_signals({SIGUSR1, SIGTERM}, [](int, SignalOrigin) {});
          const auto watched = loop.watch_signal(SIGINT, [] {});
          // Signal sets as hexadecimal numbers: bit 0 is signal 1.
          const std::string script =
              "b=$(sed -n 's/^SigBlk:\\t//p' /proc/self/status) &&"
              "i=$(sed -n 's/^SigIgn:\\t//p' /proc/self/status) &&"
              "[ $((0x$b)) = 0 ] && [ $((0x$i & 1)) = 1 ] && [ $((0x$i & 0x1000)) = 0 ]";
          return run(loop, {.arguments = {"sh", "-c", script}}).code;
        }) == 0);
}

TEST_CASE("variables can be kept from a program") {
  ::setenv("OUTRIDER_TEST_C", "ours", 1);
  Loop loop;
  const SpawnOptions options{.arguments = {"sh", "-c", "[ -z \"$OUTRIDER_TEST_C\" ]"},
                             .without = {"OUTRIDER_TEST_C"}};
  CHECK(run(loop, options).code == 0);
}

TEST_CASE("a program writes to the descriptor that it is given, and has no others of ours") {
  int output[2];
  REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
  Loop loop;
  const SpawnOptions options{
      .arguments = {"sh", "-c",
                    "echo out; [ ! -e /proc/self/fd/" + std::to_string(output[1]) + " ]"},
      .output = output[1]};
  CHECK(run(loop, options).code == 0);
  char text[16] = {};
  CHECK(::read(output[0], text, sizeof text) == 4);
  CHECK(std::string(text, 4) == "out\n");
  for (const int fd : output)
    ::close(fd);
}

TEST_CASE("sockets of a service manager are handed on to the program in our place") {
  const std::string ours = std::to_string(::getpid());
  ::setenv("LISTEN_PID", ours.c_str(), 1);
  ::setenv("LISTEN_FDS", "2", 1);
  Loop loop;
  const auto check = [&loop](const char* script) {
    return run(loop, {.arguments = {"sh", "-c", script}}).code;
  };
  CHECK(check("[ \"$LISTEN_PID\" = $$ ] && [ \"$LISTEN_FDS\" = 2 ]") == 0);
  // Those of another process are not the program's.
  ::setenv("LISTEN_PID", "1", 1);
  CHECK(check("[ \"$LISTEN_PID\" = 1 ]") == 0);
  ::unsetenv("LISTEN_PID");
  CHECK(check("[ -z \"${LISTEN_PID+set}\" ]") == 0);
  ::unsetenv("LISTEN_FDS");
}

TEST_CASE("a program that ends with us gets SIGTERM when we are killed") {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    ::close(pipe[0]);
    Loop loop;
    const auto process = loop.spawn(
        {.arguments = {"sh", "-c", "exec sleep 60"}, .ends_with_us = true}, [](ExitStatus) {});
    ::kill(::getpid(), SIGKILL);
    ::_exit(process ? 0 : 1);
  }
  ::close(pipe[1]);
  REQUIRE(::waitpid(agent, nullptr, 0) == agent);
  // The program holds the other end of the pipe until it ends.
  char end = 0;
  CHECK(::read(pipe[0], &end, 1) == 0);
  ::close(pipe[0]);
}

TEST_CASE("the origin of a signal is reported") {
  CHECK(in_child([] {
          Loop loop;
          std::optional<SignalOrigin> origin;
          int number = 0;
          const auto taken =
              loop.take_signals({SIGINT, SIGUSR1}, [&](int signal, SignalOrigin from) {
                number = signal;
                origin = from;
              });
          ::kill(::getpid(), SIGUSR1);
          turn_until(loop, [&] { return origin.has_value(); });
          return number == SIGUSR1 && origin == SignalOrigin::process ? 0 : 1;
        }) == 0);
}

TEST_CASE("a signal that is held back is delivered when it is watched") {
  CHECK(in_child([] {
          hold_signal(SIGHUP);
          ::kill(::getpid(), SIGHUP);
          Loop loop;
          int times = 0;
          const auto watch = loop.watch_signal(SIGHUP, [&] { ++times; });
          release_signal(SIGHUP);
          turn_until(loop, [&] { return times > 0; });
          return times == 1 ? 0 : 1;
        }) == 0);
}

TEST_CASE("orphans become children of the process that adopts them, which reaps them") {
  CHECK(
      in_child([] {
        adopt_orphans();
        Loop loop;
        const auto watch = loop.watch_signal(SIGCHLD, [] {});
        // The shell ends at once, what it has started a little later.
        if (run(loop, {.arguments = {"sh", "-c", "setsid sh -c 'read line' < /dev/null & exit 3"}})
                .code != 3)
          return 1;
        const bool gone = turn_until(loop, [] {
          reap_adopted(0);
          return ::waitpid(-1, nullptr, WNOHANG) < 0;
        });
        return gone ? 0 : 2;
      }) == 0);
}

TEST_CASE("with no descriptor left, one connection and one client are still served") {
  CHECK(in_child([] {
          Loop loop;
          struct Accepted final : Listener::Sink {
            std::unique_ptr<Stream> stream;
            void on_accept(std::unique_ptr<Stream> accepted) override {
              stream = std::move(accepted);
            }
          } sink;
          const auto listener = loop.network().listen(
              {.on = Endpoint{IpAddress::loopback(IpAddress::Family::v4), 0}}, sink);
          if (!listener) return 1;
          rlimit limit{};
          ::getrlimit(RLIMIT_NOFILE, &limit);
          const int lowest = ::dup(0);
          ::close(lowest);
          limit.rlim_cur = static_cast<rlim_t>(lowest);
          ::setrlimit(RLIMIT_NOFILE, &limit);
          for (int round = 0; round < 3; ++round) {
            std::unique_ptr<Stream> client;
            bool failed = false;
            const auto pending =
                loop.network().connect({.to = (*listener)->local(), .from = {}}, [&](auto stream) {
                  failed = !stream;
                  if (stream) client = std::move(*stream);
                });
            if (!turn_until(loop, [&] { return failed || (client && sink.stream); }) || failed)
              return 10 + round;
            // A second one has to wait.
            bool refused = false;
            const auto second = loop.network().connect({.to = (*listener)->local(), .from = {}},
                                                       [&](auto stream) { refused = !stream; });
            if (!turn_until(loop, [&] { return refused; })) return 20 + round;
            sink.stream.reset();
            client.reset();
            loop.turn(false);
          }
          return 0;
        }) == 0);
}

}  // namespace
}  // namespace outrider::uv
