// SPDX-License-Identifier: Apache-2.0
#include "agent/process/service_manager.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/sim/world.h"

namespace outrider {
namespace {

/// systemd's end: a datagram socket under an abstract name.
class Manager {
 public:
  Manager() : name_("@outrider-test-" + std::to_string(::getpid())) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(name_, address.sun_path);
    address.sun_path[0] = '\0';
    fd_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size())) == 0);
  }
  ~Manager() { ::close(fd_); }
  const std::string& name() const { return name_; }
  std::string heard() {
    char text[512];
    const auto size = ::recv(fd_, text, sizeof text, 0);
    return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
  }

 private:
  std::string name_;
  int fd_ = -1;
};

TEST_CASE("systemd is reported in its words") {
  sim::World world;
  Manager systemd;
  ServiceManager manager(world.host("a").env(), systemd.name());
  CHECK(manager.present());
  manager.ready();
  CHECK(systemd.heard() == "READY=1");
  manager.status("two\nlines \x1b[31m");
  CHECK(systemd.heard() == "STATUS=two\\x0alines \\x1b[31m");
  manager.reloading(TimePoint(5ms));
  CHECK(systemd.heard() == "RELOADING=1\nMONOTONIC_USEC=5000");
  manager.extend_timeout(11s);
  CHECK(systemd.heard() == "EXTEND_TIMEOUT_USEC=11000000");
  manager.stopping();
  CHECK(systemd.heard() == "STOPPING=1");
  manager.watchdog();
  CHECK(systemd.heard() == "WATCHDOG=1");
  CHECK(systemd.heard().empty());
}

TEST_CASE("what a unit waits for is reported as soon as there is room") {
  sim::World world;
  Manager systemd;
  ServiceManager manager(world.host("a").env(), systemd.name());
  // As many as the kernel takes (net.unix.max_dgram_qlen), and more.
  for (int i = 0; i < 2'000; ++i)
    manager.status("busy");
  manager.reloading(TimePoint(5ms));
  manager.ready();
  world.advance(kNotifyRetry * 5);
  while (systemd.heard() == "STATUS=busy") {
  }
  CHECK(systemd.heard().empty());
  world.advance(kNotifyRetry * 2);
  CHECK(systemd.heard() == "RELOADING=1\nMONOTONIC_USEC=5000");
  CHECK(systemd.heard() == "READY=1");
  for (int i = 0; i < 2'000; ++i)
    manager.status("busy");
  for (std::size_t i = 0; i < kNotifyUnsentMax; ++i)
    manager.ready();
  manager.stopping();
  while (systemd.heard() == "STATUS=busy") {
  }
  const auto next = [&] {
    world.advance(kNotifyRetry);
    return systemd.heard();
  };
  for (std::size_t i = 0; i + 1 < kNotifyUnsentMax; ++i)
    CHECK(next() == "READY=1");
  CHECK(next() == "STOPPING=1");
  CHECK(systemd.heard().empty());
}

TEST_CASE("nobody to tell is no mistake") {
  sim::World world;
  Env& env = world.host("a").env();
  ServiceManager nobody(env, std::string());
  CHECK_FALSE(nobody.present());
  nobody.ready();
  ServiceManager gone(env, "@outrider-test-nobody-listens");
  gone.ready();
  ServiceManager long_name(env, std::string(200, 'x'));
  long_name.ready();
}

TEST_CASE("the watchdog is fed twice in its time, if it is meant for us") {
  const auto with = [](const char* usec, const std::string& pid) {
    ::setenv("WATCHDOG_USEC", usec, 1);
    ::setenv("WATCHDOG_PID", pid.c_str(), 1);
    const auto interval = ServiceManager::watchdog_interval();
    ::unsetenv("WATCHDOG_USEC");
    ::unsetenv("WATCHDOG_PID");
    return interval;
  };
  const std::string own = std::to_string(::getpid());
  CHECK(with("30000000", own) == Duration(15s));
  CHECK(with("18446744073709551615", own) == Duration(1h));
  CHECK_FALSE(with("30000000", "1").has_value());
  CHECK_FALSE(with("soon", own).has_value());
  CHECK_FALSE(with("", own).has_value());
  CHECK_FALSE(ServiceManager::watchdog_interval().has_value());
}

}  // namespace
}  // namespace outrider
