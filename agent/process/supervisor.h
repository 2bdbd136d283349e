// SPDX-License-Identifier: Apache-2.0
// An agent in the real world: signals in, notifications to systemd out. Shared by `outrider agent`
// and `outrider run`.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/process/api_servers.h"
#include "agent/process/real_world.h"
#include "agent/process/service_manager.h"

namespace outrider {

class Supervisor {
 public:
  Supervisor(RealWorld& world, Config config, const std::string& own);

  Agent& agent() { return agent_; }
  /// From here on signals wait for the loop. SIGTERM and SIGINT: the first drains, the second
  /// hurries. SIGHUP: reload what `reread` gives.
  void follow_signals(std::function<std::optional<Config>()> reread);
  /// The same for `outrider run`: `asked` comes with each of SIGTERM, SIGINT and SIGQUIT, and to
  /// drain is its business; the second one hurries.
  void pass_signals(const std::function<void(int signal)>& asked);
  void start();
  /// Drains and closes the agent, then ends the loop. Nothing if that is under way.
  void stop(Callback<void()> after_drain = {});
  /// Tells the service manager that the end takes so long from now.
  void extend_timeout(Duration by) { manager_.extend_timeout(by); }

 private:
  void reload();
  void feed_watchdog(Duration interval);

  RealWorld& world_;
  ServiceManager manager_;
  Agent agent_;
  ApiServers api_;
  std::function<std::optional<Config>()> reread_;
  std::vector<std::unique_ptr<Pending>> signals_;
  Timer watchdog_;
  bool ready_ = false;  // READY=1 has been told
};

}  // namespace outrider
