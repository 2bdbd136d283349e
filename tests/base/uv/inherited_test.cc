// SPDX-License-Identifier: Apache-2.0
#include "base/uv/inherited.h"

#include <cstdlib>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace outrider::uv {
namespace {

const Endpoint kAnyPort{IpAddress::loopback(IpAddress::Family::v4), 0};
constexpr int kFirst = 200;  // far from what the test itself opens

/// As a service manager does it: bound, at a descriptor of its choice. Returns the address.
Endpoint hand_over(int type, int at) {
  auto socket = open_socket(AF_INET, type);
  REQUIRE(socket.has_value());
  SocketAddress address(kAnyPort);
  REQUIRE(::bind(socket->get(), address.data(), address.size) == 0);
  if (type == SOCK_STREAM) REQUIRE(::listen(socket->get(), 8) == 0);
  REQUIRE(::dup2(socket->get(), at) == at);
  return load_endpoint(local_address(at).storage);
}

TEST_CASE("sockets handed over are found by type and address, again and again") {
  const Endpoint datagrams = hand_over(SOCK_DGRAM, kFirst);
  const Endpoint streams = hand_over(SOCK_STREAM, kFirst + 1);
  REQUIRE(::dup2(0, kFirst + 2) == kFirst + 2);  // no socket at all
  const InheritedSockets inherited(kFirst, 4);   // and one that is not open
  CHECK(inherited.datagram_addresses() == std::vector<Endpoint>{datagrams});

  for (int round = 0; round < 2; ++round) {
    const FileDescriptor udp = inherited.find(SOCK_DGRAM, datagrams);
    const FileDescriptor tcp = inherited.find(SOCK_STREAM, streams);
    REQUIRE(udp);
    REQUIRE(tcp);
    CHECK(load_endpoint(local_address(udp.get()).storage) == datagrams);
    CHECK((::fcntl(tcp.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(tcp.get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK_FALSE(inherited.find(SOCK_STREAM, datagrams));
  CHECK_FALSE(inherited.find(SOCK_DGRAM, streams));
  CHECK((::fcntl(kFirst, F_GETFD) & FD_CLOEXEC) != 0);
  ::close(kFirst + 2);
}

TEST_CASE("descriptors of another process are left alone, and the variables go") {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "2", 1);
  ::setenv("LISTEN_FDNAMES", "dns:dns", 1);
  InheritedSockets::take_from_environment();
  CHECK(InheritedSockets::of_process().datagram_addresses().empty());
  for (const char* variable : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"})
    CHECK(std::getenv(variable) == nullptr);
}

TEST_CASE("kept sockets are known by their names, found, and no addresses of the unit") {
  const pid_t child = ::fork();
  if (child == 0) {
    const Endpoint unit = hand_over(SOCK_DGRAM, kFirst), kept = hand_over(SOCK_DGRAM, kFirst + 1);
    ::dup2(kFirst, 3);
    ::dup2(kFirst + 1, 4);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", "2", 1);
    ::setenv("LISTEN_FDNAMES", "dns:outrider-kept-udp", 1);
    InheritedSockets::take_from_environment();
    InheritedSockets& taken = InheritedSockets::of_process();
    const bool told_apart = taken.datagram_addresses() == std::vector<Endpoint>{unit} &&
                            taken.all()[0].name == "dns" && taken.all()[1].is_kept();
    const bool found = static_cast<bool>(taken.find(SOCK_DGRAM, kept));
    taken.close("outrider-kept-udp");
    const bool closed = !taken.find(SOCK_DGRAM, kept) && ::fcntl(4, F_GETFD) < 0;
    ::_exit(told_apart && found && closed ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("kInheritedMax sockets are taken from the environment, and no more") {
  const pid_t child = ::fork();
  if (child == 0) {
    hand_over(SOCK_DGRAM, kFirst);
    for (int fd = 3; fd < 3 + kInheritedMax + 5; ++fd)
      ::dup2(kFirst, fd);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(kInheritedMax + 5).c_str(), 1);
    InheritedSockets::take_from_environment();
    ::_exit(InheritedSockets::of_process().datagram_addresses().size() == kInheritedMax ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace
}  // namespace outrider::uv
