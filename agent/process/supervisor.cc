// SPDX-License-Identifier: Apache-2.0
#include "agent/process/supervisor.h"

#include <csignal>

#include "agent/process/kept_sockets.h"
#include "agent/process/runtime_dir.h"

namespace outrider {

Supervisor::Supervisor(RealWorld& world, Config config, const std::string& own)
    : world_(world),
      manager_(world.env()),
      agent_(world.env(), config, world.parts(config, own)),
      api_(world.env(), agent_, agent_.config().api, runtime_dir(),
           [&world](const std::string& path, Callback<void()> changed) {
             return world.loop().watch_file(path, std::move(changed));
           }),
      heap_return_(world.env()) {
  agent_.watch([this](const registry::Changes& changes) { heap_return_.on_changes(changes); });
}

void Supervisor::follow_signals(std::function<Result<Config, std::string>()> reread) {
  reread_ = std::move(reread);
  // A job in the background of a script keeps ignoring the script's Ctrl-C.
  for (const int signal : {SIGTERM, SIGINT})
    if (signal == SIGTERM || !uv::is_ignored(signal))
      signals_.push_back(world_.loop().watch_signal(signal, [this] {
        if (agent_.stopping())
          agent_.hurry();
        else
          stop();
      }));
  signals_.push_back(world_.loop().watch_signal(SIGHUP, [this] { reload(); }));
  // Held back from the start of the process: one that came since then reloads in the first turn.
  uv::release_signal(SIGHUP);
}

void Supervisor::keep_sockets() {
  if (!manager_.present()) return;
  outrider::keep_sockets(manager_, uv::InheritedSockets::of_process(), agent_.config());
}

void Supervisor::start() {
  agent_.when_ready([this] {
    ready_ = true;
    manager_.ready();
  });
  if (!uv::is_ignored(SIGTSTP))
    signals_.push_back(world_.loop().watch_signal(SIGTSTP, [this] { suspend(); }));
  agent_.start();
  api_.start();
  if (manager_.present())
    agent_.on_summary([this](const std::string& text) { manager_.status(text); });
  // Fed by the loop that serves DNS, so that a loop that hangs trips the watchdog.
  if (const auto interval = ServiceManager::watchdog_interval()) feed_watchdog(*interval);
}

void Supervisor::feed_watchdog(Duration interval) {
  manager_.watchdog();
  watchdog_ = world_.env().after(interval, [this, interval] { feed_watchdog(interval); });
}

/// While a process is suspended (Ctrl-Z), the kernel still gives it its share of the queries for an
/// address that several agents bind.
void Supervisor::suspend() {
  agent_.pause_dns();
  suspend_ = world_.env().after(Duration::zero(), [this] {
    uv::suspend();
    // SIGCONT has come, or there was no shell to resume this process.
    agent_.resume_dns();
  });
}

void Supervisor::reload() {
  // READY=1 must not follow STOPPING=1.
  if (agent_.stopping()) return;
  Log& log = world_.env().log;
  // READY=1 must end RELOADING=1, and must not be sent before the agent is ready.
  if (ready_) manager_.reloading(world_.env().now());
  // All or nothing: after an error the agent keeps its configuration.
  if (auto next = reread_(); next) {
    const LogLevel level = log_level(next->log.level);
    std::string keys;
    for (const std::string& key : agent_.reload(std::move(*next)))
      keys += (keys.empty() ? "" : ",") + key;
    if (keys.empty())
      log.set_least(level);
    else
      log.record(
          LogEvent::config_refused,
          {{"options", keys},
           {"reason", keys == "services" ? "they do not fit beside what clients have registered"
                                         : "a change of these options needs a restart"}});
  } else {
    log.record(LogEvent::config_refused, {{"reason", next.error()}});
  }
  if (ready_) manager_.ready();
}

void Supervisor::stop(Callback<void()> after_drain) {
  if (agent_.stopping()) return;
  manager_.stopping();
  manager_.extend_timeout(agent_.config().drain_time() + 5s);
  agent_.stop([this] { world_.loop().stop(); }, std::move(after_drain));
}

}  // namespace outrider
