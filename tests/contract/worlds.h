// SPDX-License-Identifier: Apache-2.0
// The two worlds that the contract cases run in. Both offer the same few words:
//
//   env()                     what a worker is given
//   run_until(done)           turns until `done` says so; false after a few seconds of that world
//   rest()                    turns until nothing more happens by itself
//   path()                    of a Unix socket that does not exist yet
//   leave_dead_socket(path)   a socket file without a listener
//
// and check at their end that nothing of the network is left open.
#pragma once

#include <functional>
#include <string>

#include "tests/sim/world.h"

namespace outrider::contract {

class SimulatedWorld {
 public:
  static constexpr const char* kName = "simulated";

  Env& env() { return world_.env(); }
  bool run_until(const std::function<bool()>& done) { return world_.run_until(done, 5s); }
  void rest() { world_.settle(); }
  std::string path() { return "/run/contract.sock"; }
  void leave_dead_socket(const std::string& path) { world_.host("here").leave_dead_socket(path); }

 private:
  sim::World world_{1};
};

}  // namespace outrider::contract

/// What a TEST_CASE_TEMPLATE runs over.
#define CONTRACT_WORLDS ::outrider::contract::SimulatedWorld
