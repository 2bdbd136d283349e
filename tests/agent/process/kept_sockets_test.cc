// SPDX-License-Identifier: Apache-2.0
#include "agent/process/kept_sockets.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/sim/world.h"

namespace outrider {
namespace {

/// The file descriptor store of a service manager.
class Store {
 public:
  Store() : name_("@outrider-store-" + std::to_string(::getpid())) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(name_, address.sun_path);
    address.sun_path[0] = '\0';
    fd_ = uv::FileDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())) == 0);
  }
  const std::string& name() const { return name_; }
  /// Takes what was sent: "+name" for a descriptor that came, "-name" for one that is to go.
  std::vector<std::string> take() {
    std::vector<std::string> said;
    while (take_one(said)) {
    }
    return said;
  }
  /// As systemd hands them to the next process.
  uv::InheritedSockets handed_over() {
    constexpr int kFirst = 300;
    std::vector<std::string_view> names;
    for (const auto& [name, fd] : stored_) {
      const int at = kFirst + static_cast<int>(names.size());
      REQUIRE(::dup2(fd.get(), at) == at);
      names.push_back(name);
    }
    return {kFirst, static_cast<int>(names.size()), names};
  }

 private:
  bool take_one(std::vector<std::string>& said) {
    std::array<char, 512> text{};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    iovec part{text.data(), text.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto size = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
    if (size < 0) return false;
    const std::string state(text.data(), static_cast<std::size_t>(size));
    const std::size_t begin = state.find("FDNAME=") + 7;
    const std::string name = state.substr(begin, state.find('\n', begin) - begin);
    if (state.starts_with("FDSTOREREMOVE=1\n")) {
      stored_.erase(name);
      said.push_back('-' + name);
      return true;
    }
    REQUIRE(state.starts_with("FDSTORE=1\n"));
    CHECK(state.ends_with("\nFDPOLL=0"));
    const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    REQUIRE(rights != nullptr);
    REQUIRE(rights->cmsg_type == SCM_RIGHTS);
    int fd = -1;
    std::ranges::copy(std::span(CMSG_DATA(rights), sizeof fd),
                      reinterpret_cast<std::uint8_t*>(&fd));
    stored_[name] = uv::FileDescriptor(fd);
    said.push_back('+' + name);
    return true;
  }

  std::string name_;
  uv::FileDescriptor fd_;
  std::map<std::string, uv::FileDescriptor> stored_;
};

/// A port that is free now, for UDP and TCP alike in all likelihood.
std::uint16_t free_port() {
  const auto socket = uv::open_socket(AF_INET, SOCK_STREAM);
  const uv::SocketAddress any(Endpoint{IpAddress::loopback(IpAddress::Family::v4), 0});
  REQUIRE(::bind(socket->get(), any.data(), any.size) == 0);
  return uv::load_endpoint(uv::local_address(socket->get()).storage).port;
}

Endpoint local(std::uint16_t port) {
  return {IpAddress::loopback(IpAddress::Family::v4), port};
}

struct Bed {
  sim::World world;
  Store store;
  ServiceManager manager{world.host("a").env(), store.name()};
  Config config;
  std::uint16_t dns = free_port(), web = free_port();
  std::string dns_name = "outrider-kept-udp-127.0.0.1_" + std::to_string(dns);
  std::string dns_tcp_name = "outrider-kept-tcp-127.0.0.1_" + std::to_string(dns);
  std::string web_name = "outrider-kept-tcp-127.0.0.1_" + std::to_string(web);

  Bed() {
    config.dns.listen = {local(dns)};
    config.web.listen = {local(web)};
    config.web.tls_listen = {};
  }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("configured sockets are stored, come back with what was sent meanwhile, and are found") {
  Bed bed;
  {
    uv::InheritedSockets first;
    keep_sockets(bed.manager, first, bed.config);
    CHECK(bed.store.take() ==
          Texts{'+' + bed.dns_name, '+' + bed.dns_tcp_name, '+' + bed.web_name});
    CHECK(first.find(SOCK_DGRAM, local(bed.dns)));
    CHECK(first.datagram_addresses().empty());  // they are in the configuration
  }
  // Between two processes.
  const auto client = uv::open_socket(AF_INET, SOCK_DGRAM);
  const uv::SocketAddress to(local(bed.dns)), web(local(bed.web));
  REQUIRE(::sendto(client->get(), "q", 1, 0, to.data(), to.size) == 1);
  const uv::FileDescriptor browser(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(::connect(browser.get(), web.data(), web.size) == 0);

  uv::InheritedSockets next = bed.store.handed_over();
  keep_sockets(bed.manager, next, bed.config);
  CHECK(bed.store.take().empty());
  CHECK(next.datagram_addresses().empty());
  const uv::FileDescriptor found = next.find(SOCK_DGRAM, local(bed.dns));
  char byte = 0;
  CHECK(::recv(found.get(), &byte, 1, MSG_DONTWAIT) == 1);
  const uv::FileDescriptor listener = next.find(SOCK_STREAM, local(bed.web));
  CHECK(uv::FileDescriptor(::accept(listener.get(), nullptr, nullptr)));
}

TEST_CASE("what is not configured any more is closed, and leaves the store") {
  Bed bed;
  uv::InheritedSockets sockets;
  keep_sockets(bed.manager, sockets, bed.config);
  bed.store.take();
  bed.config.web.listen.clear();
  keep_sockets(bed.manager, sockets, bed.config);
  CHECK(bed.store.take() == Texts{'-' + bed.web_name});
  CHECK_FALSE(sockets.find(SOCK_STREAM, local(bed.web)));
  CHECK(sockets.find(SOCK_STREAM, local(bed.dns)));
}

TEST_CASE("sockets of the unit are used, and neither stored nor closed") {
  Bed bed;
  uv::InheritedSockets sockets;
  keep_sockets(bed.manager, sockets, bed.config);
  bed.store.take();
  // The same sockets, under the names of a socket unit.
  uv::InheritedSockets units;
  for (const auto& socket : sockets.all())
    units.add({sockets.find(socket.type, socket.address), socket.type, socket.address, "dns"});
  keep_sockets(bed.manager, units, bed.config);
  bed.config.dns.listen.clear();
  keep_sockets(bed.manager, units, bed.config);
  CHECK(bed.store.take().empty());
  CHECK(units.all().size() == 3);
  CHECK(units.datagram_addresses() == std::vector<Endpoint>{local(bed.dns)});
}

TEST_CASE("an address whose TCP port is taken is left to the agent as a whole") {
  Bed bed;
  const auto other = uv::open_socket(AF_INET, SOCK_STREAM);
  const uv::SocketAddress address(local(bed.dns));
  REQUIRE(::bind(other->get(), address.data(), address.size) == 0);
  uv::InheritedSockets sockets;
  keep_sockets(bed.manager, sockets, bed.config);
  CHECK(bed.store.take() == Texts{'+' + bed.web_name});
  CHECK_FALSE(sockets.find(SOCK_DGRAM, local(bed.dns)));
}

TEST_CASE("kKeptSocketsMax sockets are kept, and no more") {
  Bed bed;
  bed.config.dns.listen.clear();
  bed.config.web.listen = {local(0)};  // the system's choice is another one each time
  for (std::size_t i = 0; i < kKeptSocketsMax + 3; ++i)
    bed.config.web.listen.push_back(
        {*IpAddress::parse("127.0.1." + std::to_string(i + 1)), bed.web});
  uv::InheritedSockets sockets;
  keep_sockets(bed.manager, sockets, bed.config);
  bed.world.advance(1s);  // the manager's socket may be full for a moment
  CHECK(sockets.all().size() == kKeptSocketsMax);
  std::size_t stored = 0;
  for (int i = 0; i < 20; ++i) {
    stored += bed.store.take().size();
    bed.world.advance(kNotifyRetry);
  }
  CHECK(stored == kKeptSocketsMax);
}

}  // namespace outrider
