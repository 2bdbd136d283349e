// SPDX-License-Identifier: Apache-2.0
// probe_limit PORT TARGETS SECONDS
//
// What the kernel's TCP path allows one thread: connect, send, receive and close on one epoll, and
// nothing else. Target i is that of probe_load. As many exchanges are under way as the runner of
// probes allows; none is timed, parsed or judged beyond its status line.
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/uv/socket.h"
#include "probes/runner.h"

namespace {

constexpr std::size_t kEvents = 64;
constexpr std::size_t kAnswerBytes = 16U << 10;
constexpr std::string_view kRequest =
    "GET /health HTTP/1.1\r\nHost: 127.1.1.1:8080\r\nUser-Agent: outrider\r\nAccept: */*\r\n"
    "Connection: close\r\n\r\n";

struct Loop {
  int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::uint16_t port = 0;
  int targets = 0, next = 0;
  std::uint64_t passed = 0, failed = 0;

  void begin() {
    const auto octet = [](int value) { return static_cast<std::uint8_t>(value); };
    const int i = next++ % targets;
    const outrider::uv::SocketAddress address(
        outrider::Endpoint{outrider::IpAddress::v4(127, octet(1 + i / 62'500), octet(i / 250 % 250),
                                                   octet(1 + i % 250)),
                           port});
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)::connect(fd, address.data(), address.size);
    epoll_event event{};
    event.data.fd = fd;
    // On this host the handshake is over when connect() returns.
    const bool sent = ::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0;
    event.events = sent ? EPOLLIN : EPOLLOUT;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  void on_ready(const epoll_event& event) {
    const int fd = event.data.fd;
    if ((event.events & EPOLLOUT) != 0) {
      (void)::send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL);
      epoll_event wanted{};
      wanted.data.fd = fd;
      wanted.events = EPOLLIN;
      ::epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &wanted);
      return;
    }
    std::array<char, kAnswerBytes> answer;
    const ssize_t got = ::recv(fd, answer.data(), answer.size(), 0);
    const std::string_view text(answer.data(), static_cast<std::size_t>(got > 0 ? got : 0));
    ++(text.starts_with("HTTP/1.1 200") ? passed : failed);
    ::close(fd);
    begin();
  }

  void turn() {
    std::array<epoll_event, kEvents> ready;
    const int count = ::epoll_wait(epoll, ready.data(), kEvents, 1'000);
    for (int i = 0; i < count; ++i)
      on_ready(ready[static_cast<std::size_t>(i)]);
  }
};

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}
double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}
int number(const char* text) {
  int value = 0;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}
int rss_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return number(line.c_str() + line.find_first_of("0123456789"));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Loop loop;
  loop.port = static_cast<std::uint16_t>(number(argv[1]));
  loop.targets = number(argv[2]);
  const double length = number(argv[3]);
  for (std::size_t i = 0; i < outrider::probes::kProbesInFlightMax; ++i)
    loop.begin();
  for (const double warm = now() + 0.5; now() < warm;)
    loop.turn();
  const std::uint64_t passed = loop.passed, failed = loop.failed;
  const double cpu = cpu_seconds(), start = now();
  while (now() < start + length)
    loop.turn();
  const double seconds = now() - start, used = cpu_seconds() - cpu;
  const auto done = static_cast<double>(loop.passed - passed);
  std::printf("probes_s=%.0f cpu_us=%.1f cpu_pct=%.2f fail=%llu rss_kb=%d\n", done / seconds,
              done > 0 ? used * 1e6 / done : 0, used / seconds * 100,
              static_cast<unsigned long long>(loop.failed - failed), rss_kib());
  return 0;
}
