// SPDX-License-Identifier: Apache-2.0
// What an agent on a real machine runs on: the loop, the log, random numbers, and the parts that
// read the system.
#pragma once

#include <memory>
#include <string>

#include "agent/agent.h"
#include "agent/host_lookup.h"
#include "agent/process/sibling_sockets.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider {

class RealWorld {
 public:
  /// What an agent takes from its process, and a host program gives instead.
  struct Ground {
    std::unique_ptr<uv::Loop> loop;
    std::unique_ptr<Log> log;  // on the loop's clock
    std::string state_dir;     // empty: nothing is kept
    std::string runtime_dir;   // where agents of this user have their sockets
    MakeRuntimeDir make_runtime_dir = MakeRuntimeDir::no;
  };
  /// Of a process of our own: with its environment, and the log on stderr.
  static Ground ground_of_process(const LogConfig& log);
  /// On that.
  explicit RealWorld(const LogConfig& log);
  explicit RealWorld(Ground ground);
  Env& env() { return env_; }
  uv::Loop& loop() { return *ground_.loop; }
  /// `own` keeps the host labels of two agents on one host apart; it is the same after a restart.
  AgentParts parts(const Config& config, const std::string& own);
  /// Before parts(): what was kept under `earlier` is kept under `own` from now on, unless that has
  /// files of its own or an agent uses the earlier ones.
  void take_over_state(const std::string& earlier, const std::string& own);

 private:
  enum class Keep : std::uint8_t { yes, no };
  std::string settle_host_identity(Keep keep);
  MakeEngine engine_maker(const Config& config, const ForwardParts& forward);

  Ground ground_;
  uv::SystemRandom random_;
  Env env_;
  std::unique_ptr<Pending> card_watch_;
  std::unique_ptr<HostLookup> host_lookup_;  // of names in the endpoints of registries
};

LogLevel log_level(const std::string& name);
uv::LogFormat log_format(const std::string& name);

}  // namespace outrider
