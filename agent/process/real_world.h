// SPDX-License-Identifier: Apache-2.0
// The loop, the log, the randomness and what else an agent on a real machine is made of.
#pragma once

#include <memory>
#include <string>

#include "agent/agent.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider {

class RealWorld {
 public:
  explicit RealWorld(const LogConfig& log);
  Env& env() { return env_; }
  uv::Loop& loop() { return loop_; }
  /// `own` tells agents of one host apart in host labels: the same after a restart of this one.
  AgentParts parts(const Config& config, const std::string& own);

 private:
  uv::Loop loop_;
  uv::SystemRandom random_;
  std::unique_ptr<Log> log_;
  Env env_;
};

LogLevel log_level(const std::string& name);

}  // namespace outrider
