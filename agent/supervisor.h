// SPDX-License-Identifier: Apache-2.0
// An agent in the real world: signals in, notifications to systemd out. Shared by `outrider agent`
// and `outrider run`.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/api_servers.h"
#include "agent/real_world.h"
#include "agent/service_manager.h"

namespace outrider {

class Supervisor {
 public:
  Supervisor(RealWorld& world, Config config, const std::string& own);

  Agent& agent() { return agent_; }
  /// Starts the agent and follows SIGHUP by `reread` (nothing: no reload).
  void start(std::function<std::optional<Config>()> reread);
  /// SIGTERM and SIGINT: the first drains, the second hurries. `asked` comes with each.
  void on_stop_signal(std::function<void(int signal)> asked) { asked_ = std::move(asked); }
  /// Drains and closes the agent, then ends the loop. Nothing if that is under way.
  void stop(Callback<void()> after_drain = {});

 private:
  void reload();
  void feed_watchdog(Duration interval);

  RealWorld& world_;
  ServiceManager manager_;
  Agent agent_;
  ApiServers api_;
  std::function<std::optional<Config>()> reread_;
  std::function<void(int)> asked_;
  std::vector<std::unique_ptr<Pending>> signals_;
  Timer watchdog_;
  bool ready_ = false;  // READY=1 has been told
};

}  // namespace outrider
