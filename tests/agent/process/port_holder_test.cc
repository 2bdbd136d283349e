// SPDX-License-Identifier: Apache-2.0
#include "agent/process/port_holder.h"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/address.h"

using namespace outrider;

namespace {

/// A UDP socket of this process that is bound to all addresses of a family.
struct Holder {
  int fd = -1;
  std::uint16_t port = 0;

  explicit Holder(int family) : fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    REQUIRE(fd >= 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in*>(&address)->sin_port
                                   : reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  }
  ~Holder() { ::close(fd); }
  std::string found_at(const char* address) const {
    return port_holder({*IpAddress::parse(address), port});
  }
};

}  // namespace

TEST_CASE("the holder of a port is found by its wildcard address, that of IPv6 for IPv4 too") {
  const std::string self = "(pid " + std::to_string(::getpid()) + ')';
  const Holder v4(AF_INET), both(AF_INET6);
  CHECK(v4.found_at("127.0.0.55").find(self) != std::string::npos);
  CHECK(both.found_at("127.0.0.55").find(self) != std::string::npos);
  CHECK(both.found_at("::1").find(self) != std::string::npos);
  CHECK(v4.found_at("::1").empty());
}
