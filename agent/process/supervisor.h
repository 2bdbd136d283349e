// SPDX-License-Identifier: Apache-2.0
// An agent as a process: signals in, notifications to systemd out. Shared by `outrider agent` and
// `outrider run`.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/process/api_servers.h"
#include "agent/process/heap_return.h"
#include "agent/process/real_world.h"
#include "agent/process/service_manager.h"

namespace outrider {

class Supervisor {
 public:
  Supervisor(RealWorld& world, Config config, const std::string& own);

  Agent& agent() { return agent_; }
  /// After start(): where the agent's API is; empty if nowhere.
  std::string socket() const { return api_.socket(); }
  /// From here on the loop handles signals. SIGTERM and SIGINT: the first drains, the second ends
  /// the drain. SIGHUP: reloads the configuration that `reread` returns.
  void follow_signals(std::function<Result<Config, std::string>()> reread);
  /// Before start(), for a program of our own: its listening sockets outlive a restart
  /// (kept_sockets.h).
  void keep_sockets();
  /// From here on, SIGTSTP closes the DNS sockets before it suspends the process.
  void start();
  /// Drains and closes the agent, then ends the loop. Does nothing when that is under way.
  void stop(Callback<void()> after_drain = {});
  /// Tells the service manager that stopping takes this long from now.
  void extend_timeout(Duration by) { manager_.extend_timeout(by); }

 private:
  void reload();
  void feed_watchdog(Duration interval);
  void suspend();

  RealWorld& world_;
  ServiceManager manager_;
  Agent agent_;
  ApiServers api_;
  HeapReturn heap_return_;
  std::function<Result<Config, std::string>()> reread_;
  std::vector<std::unique_ptr<Pending>> signals_;
  Timer watchdog_, suspend_;
  bool ready_ = false;  // READY=1 was sent
};

}  // namespace outrider
