// SPDX-License-Identifier: Apache-2.0
// What an agent on a real machine runs on: the loop, the log, random numbers, and the parts that
// read the system.
#pragma once

#include <memory>
#include <string>

#include "agent/agent.h"
#include "agent/host_lookup.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider {

class RealWorld {
 public:
  explicit RealWorld(const LogConfig& log);
  Env& env() { return env_; }
  uv::Loop& loop() { return loop_; }
  /// `own` keeps the host labels of two agents on one host apart; it is the same after a restart.
  AgentParts parts(const Config& config, const std::string& own);

 private:
  enum class Keep : std::uint8_t { yes, no };
  std::string settle_host_identity(Keep keep);
  MakeEngine engine_maker(const Config& config, const ForwardParts& forward);

  uv::Loop loop_;
  uv::SystemRandom random_;
  std::unique_ptr<Log> log_;
  Env env_;
  std::unique_ptr<Pending> card_watch_;
  std::unique_ptr<HostLookup> host_lookup_;  // of names in the endpoints of registries
};

LogLevel log_level(const std::string& name);

}  // namespace outrider
