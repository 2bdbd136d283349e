// SPDX-License-Identifier: Apache-2.0
// bridge_load MODE PROXY_PORT SERVICE_PORT SECONDS COUNT HOST: clients of a proxy and the service
// behind it, in one epoll loop, so that the proxy alone has the other core.
//
//   connections   a new connection for each request, COUNT at a time
//   requests      COUNT kept connections, one request at a time on each
//   bulk          COUNT connections that download as fast as they can
//   idle          COUNT kept connections that have had one answer; waits for a line of input
//
// Prints done=N seconds=S bytes=B p50_us=T p99_us=T failed=N.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
constexpr std::string_view kEndless = "HTTP/1.1 200 OK\r\n\r\n";

enum class Mode { connections, requests, bulk, idle };
enum class Kind { listener, service, client };

struct Socket {
  Kind kind = Kind::client;
  bool pumping = false;  // a service that sends without end
  std::size_t got = 0;   // of the answer
  Clock::time_point begun;
};

struct Load {
  Mode mode = Mode::connections;
  std::uint16_t proxy = 0, service = 0;
  double seconds = 1;
  int count = 1;
  std::string request;

  int epoll = -1;
  std::unordered_map<int, Socket> sockets;
  std::vector<char> buffer = std::vector<char>(256 * 1024, 'x');
  std::uint64_t done = 0, failed = 0, bytes = 0;
  std::vector<float> latencies;  // microseconds
  bool over = false;

  static sockaddr_in address(std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return to;
  }
  void watch(int fd, int operation, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    ::epoll_ctl(epoll, operation, fd, &event);
  }
  void listen() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int one = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const sockaddr_in on = address(service);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&on), sizeof on) != 0 ||
        ::listen(fd, 4'096) != 0) {
      std::perror("bridge_load: listen");
      std::exit(1);
    }
    sockets[fd] = {Kind::listener, false, 0, {}};
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  }
  void connect() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const sockaddr_in to = address(proxy);
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockets[fd] = {Kind::client, false, 0, Clock::now()};
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 &&
        errno != EINPROGRESS) {
      ++failed;
      close(fd);
      return;
    }
    // On one host the handshake is over already.
    if (!ask(fd)) return;
    watch(fd, EPOLL_CTL_ADD, EPOLLIN);
  }
  bool ask(int fd) {
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(request.size()))
      return true;
    ++failed;
    close(fd);
    return false;
  }
  void close(int fd) {
    ::close(fd);
    sockets.erase(fd);
  }

  void accept(int listener) {
    for (int i = 0; i < 64; ++i) {
      const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      const int one = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      sockets[fd] = {Kind::service, false, 0, {}};
      watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
  }
  void serve(int fd, std::uint32_t events) {
    Socket& socket = sockets[fd];
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return close(fd);
      if (got > 0 && mode == Mode::bulk) {
        socket.pumping = true;
        (void)::send(fd, kEndless.data(), kEndless.size(), MSG_NOSIGNAL);
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      } else if (got > 0) {
        (void)::send(fd, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
        if (mode == Mode::connections) return close(fd);
      }
    }
    if ((events & EPOLLOUT) != 0 && socket.pumping)
      if (::send(fd, buffer.data(), buffer.size(), MSG_NOSIGNAL) < 0 && errno != EAGAIN) close(fd);
  }
  void read(int fd) {
    Socket& socket = sockets[fd];
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
      bytes += static_cast<std::uint64_t>(got);
      socket.got += static_cast<std::size_t>(got);
      if (mode == Mode::bulk || socket.got < kAnswer.size()) return;
      if (mode == Mode::connections) return;  // its end follows
      finish(socket);
      socket.got = 0;
      socket.begun = Clock::now();
      if (mode == Mode::requests) ask(fd);
      return;
    }
    // A proxy in HTTP mode may have added a field.
    if (mode == Mode::connections && got == 0 && socket.got >= kAnswer.size())
      finish(socket);
    else if (!over)
      ++failed;
    close(fd);
    if (!over) connect();
  }
  void finish(const Socket& socket) {
    ++done;
    if (latencies.size() < 4'000'000)
      latencies.push_back(
          std::chrono::duration<float, std::micro>(Clock::now() - socket.begun).count());
  }

  void turn() {
    std::array<epoll_event, 256> ready;
    const int count_ready = ::epoll_wait(epoll, ready.data(), ready.size(), 100);
    for (int i = 0; i < count_ready; ++i) {
      const int fd = ready[static_cast<std::size_t>(i)].data.fd;
      const auto found = sockets.find(fd);
      if (found == sockets.end()) continue;
      switch (found->second.kind) {
        case Kind::listener:
          accept(fd);
          break;
        case Kind::service:
          serve(fd, ready[static_cast<std::size_t>(i)].events);
          break;
        case Kind::client:
          read(fd);
          break;
      }
    }
  }

  void run() {
    epoll = ::epoll_create1(0);
    listen();
    std::puts("listening");
    std::fflush(stdout);
    pollfd input{0, POLLIN, 0};
    // The proxy may want to see the service first.
    while (::poll(&input, 1, 0) == 0)
      turn();
    std::array<char, 64> line;
    (void)::read(0, line.data(), line.size());
    for (int i = 0; i < count; ++i) {
      connect();
      if (i % 64 == 63) turn();
    }
    const auto begun = Clock::now();
    const auto gone = [&] { return std::chrono::duration<double>(Clock::now() - begun).count(); };
    if (mode == Mode::idle) {
      while (done + failed < static_cast<std::uint64_t>(count) && gone() < 30)
        turn();
      std::printf("ready=%llu\n", static_cast<unsigned long long>(done));
      std::fflush(stdout);
      (void)::read(0, line.data(), line.size());
    } else {
      while (gone() < seconds)
        turn();
    }
    over = true;
    std::ranges::sort(latencies);
    const auto at = [&](double part) {
      return latencies.empty() ? 0.0F
                               : latencies[static_cast<std::size_t>(
                                     part * static_cast<double>(latencies.size() - 1))];
    };
    std::printf("done=%llu seconds=%.6f bytes=%llu p50_us=%.1f p99_us=%.1f failed=%llu\n",
                static_cast<unsigned long long>(done), gone(),
                static_cast<unsigned long long>(bytes), static_cast<double>(at(0.5)),
                static_cast<double>(at(0.99)), static_cast<unsigned long long>(failed));
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  Load load;
  const std::string_view mode = argv[1];
  load.mode = mode == "connections" ? Mode::connections
              : mode == "requests"  ? Mode::requests
              : mode == "bulk"      ? Mode::bulk
                                    : Mode::idle;
  load.proxy = static_cast<std::uint16_t>(std::stoi(argv[2]));
  load.service = static_cast<std::uint16_t>(std::stoi(argv[3]));
  load.seconds = std::stod(argv[4]);
  load.count = std::stoi(argv[5]);
  load.request = "GET / HTTP/1.1\r\nHost: " + std::string(argv[6]) +
                 "\r\nUser-Agent: bridge_load\r\nAccept: */*\r\n" +
                 (load.mode == Mode::connections ? "Connection: close\r\n\r\n" : "\r\n");
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  load.run();
  return 0;
}
