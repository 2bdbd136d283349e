// SPDX-License-Identifier: Apache-2.0
// The two worlds that the contract cases run in. Both offer the same few words:
//
//   env()                     what a worker is given
//   run_until(done)           turns until `done` says so; false after a few seconds of that world
//   rest()                    turns until nothing more happens by itself
//   relays()                  what carries bytes between its streams
//   path()                    of a Unix socket that does not exist yet
//   leave_dead_socket(path)   a socket file without a listener
//
// and check at their end that nothing of the network is left open.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "base/uv/relay.h"
#include "base/uv/system.h"
#include "tests/sim/world.h"

namespace outrider::contract {

class SimulatedWorld {
 public:
  Env& env() { return world_.env(); }
  bool run_until(const std::function<bool()>& done) { return world_.run_until(done, 5s); }
  void rest() { world_.settle(); }
  std::unique_ptr<Relays> relays() { return copy_relays(env()); }
  std::string path() { return "/run/contract.sock"; }
  void leave_dead_socket(const std::string& path) { world_.host("here").leave_dead_socket(path); }

 private:
  sim::World world_{1};
};

/// The kernel's loopback, by way of libuv. Times are real here, so the cases wait for events and
/// only assume that 10 ms without one mean rest.
class RealWorld {
 public:
  RealWorld() {
    char folder[] = "/tmp/outrider-contract-XXXXXX";
    REQUIRE(mkdtemp(folder) != nullptr);
    folder_ = folder;
  }
  ~RealWorld() {
    loop_.turn(false);  // libuv closes handles in its next turn
    CHECK(loop_.open_handles() == 0);
    std::filesystem::remove_all(folder_);
  }
  RealWorld(const RealWorld&) = delete;

  Env& env() { return env_; }
  bool run_until(const std::function<bool()>& done) {
    bool late = false;
    const Timer guard = env_.after(5s, [&] { late = true; });
    while (!done() && !late)
      loop_.turn(true);
    return done();
  }
  void rest() {
    bool rested = false;
    const Timer guard = env_.after(10ms, [&] { rested = true; });
    while (!rested)
      loop_.turn(true);
  }
  /// With one pipe: where both directions bring much, one of them is copied.
  std::unique_ptr<Relays> relays() { return uv::make_relays(1); }
  std::string path() { return folder_ + "/socket"; }
  void leave_dead_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
  }

 private:
  uv::Loop loop_;
  uv::SystemRandom random_;
  NullLog log_;
  Env env_{loop_.clock(), loop_.timers(), loop_.network(), random_, log_};
  std::string folder_;
};

}  // namespace outrider::contract

/// What a TEST_CASE_TEMPLATE runs over.
#define CONTRACT_WORLDS ::outrider::contract::SimulatedWorld, ::outrider::contract::RealWorld
