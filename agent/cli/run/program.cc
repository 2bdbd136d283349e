// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/program.h"

#include <csignal>

#include "agent/cli/output.h"
#include "agent/process/descendants.h"

namespace outrider::cli::beside {
namespace {

const char* signal_name(int signal) {
  return signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGQUIT";
}

/// As shells and env(1) have it (POSIX, Shell Command Language 2.8.2).
int exit_status_of(const uv::SpawnError& error) {
  switch (error.kind) {
    case uv::SpawnError::Kind::not_found:
      return kProgramNotFound;
    case uv::SpawnError::Kind::not_executable:
      return kProgramNotExecutable;
    case uv::SpawnError::Kind::other:
      return kFailed;
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

bool Program::start(std::vector<std::string> words, std::vector<std::string> environment) {
  const std::string command = words.front();
  // What the program leaves behind (npm's server, a daemon) must not outlive it.
  uv::adopt_orphans();
  child_watch_ = world_.loop().watch_signal(SIGCHLD, [this] { on_child_signal(); });
  // The service manager talks to the agent; the program would be believed to be it. Sockets that
  // were handed over are the program's: spawn() gives LISTEN_PID its value, and the number that
  // tells processes with one id apart is ours.
  auto process = world_.loop().spawn(
      {.arguments = std::move(words),
       .environment = std::move(environment),
       .without = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PIDFDID"},
       .ends_with_us = true},
      [this](uv::ExitStatus status) { on_exit(status); });
  if (!process) {
    complain("cannot run " + command + ": " + process.error().text, kFailed);
    give_up(exit_status_of(process.error()));
    return false;
  }
  process_ = std::move(*process);
  return true;
}

void Program::give_up(int exit_status) {
  given_up_ = exit_status;
  stopping_ = true;
  supervisor_.stop();
  supervisor_.agent().hurry();
}

/// Each signal reaches the program once. It shares the terminal with us, so it has those of the
/// terminal already: to many programs a second Ctrl-C means to abandon their work.
void Program::on_signal(int signal, uv::SignalOrigin origin) {
  if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) return stop(signal, origin);
  // Signals that do not ask to end are for the program alone; many reload on SIGHUP.
  if (origin == uv::SignalOrigin::process) forward(signal);
}

/// Leaves DNS and says goodbye before the signal is sent, so that no client is sent to a program
/// that is gone. A second signal ends the wait; later ones reach the program too.
void Program::stop(int signal, uv::SignalOrigin origin) {
  const bool has_it = origin == uv::SignalOrigin::terminal;
  if (stopping_) {
    hurried_ = true;
    supervisor_.agent().hurry();
    if (signalled_ && !has_it) return forward(signal);
    if (term_timer_.pending()) ask_to_end(SIGTERM);
    return;
  }
  stopping_ = true;
  asked_by_ = signal;
  const TimePoint asked = world_.env().now();
  supervisor_.stop([this, asked, has_it, signal] {
    // What the terminal has asked to end is ending, and needs its time for that.
    const bool waits = has_it && !hurried_;
    const TimePoint due = waits ? asked + kKillAfter : world_.env().now();
    if (due <= world_.env().now()) return ask_to_end(has_it ? SIGTERM : signal);
    if (process_) term_timer_ = world_.env().timers.at(due, [this] { ask_to_end(SIGTERM); });
  });
  // Without the program there is nothing to drain for.
  if (!process_) supervisor_.agent().hurry();
}

void Program::ask_to_end(int signal) {
  term_timer_.reset();
  signalled_ = true;
  if (!process_) return;
  forward(signal);
  say_stopping(signal_name(signal), 1, "the drain is over");
}

void Program::on_exit(uv::ExitStatus status) {
  status_ = status;
  process_.reset();
  term_timer_.reset();
  kill_timer_.reset();
  world_.env().log.record(LogEvent::program_exited, {{"status", exit_status()}});
  end_the_rest();
  if (agent_closed_) return leaving_ ? void() : world_.loop().stop();
  if (!stopping_) {
    stopping_ = true;
    ended_by_itself_ = true;
    supervisor_.stop();
  }
  // Without the program there is nothing to drain for.
  supervisor_.agent().hurry();
}

/// Whatever the program has started and left behind: its parents may have ended, it may lead a
/// session of its own.
void Program::end_the_rest() {
  uv::reap_adopted(0);
  const std::vector<std::int64_t> left = descendants();
  leaving_ = !left.empty();
  if (!leaving_) return;
  for (const std::int64_t pid : left)
    uv::send_signal(pid, SIGTERM);
  say_stopping("SIGTERM", left.size(), "left behind by the program");
}

void Program::on_child_signal() {
  uv::reap_adopted(process_ ? process_->pid() : 0);
  if (!leaving_ || !descendants().empty()) return;
  leaving_ = false;
  kill_timer_.reset();
  if (agent_closed_) world_.loop().stop();
}

/// What is killed may have started more meanwhile, and what the kernel holds cannot be killed.
void Program::kill_all() {
  const std::vector<std::int64_t> left = descendants();
  if (!left.empty())
    world_.env().log.record(
        LogEvent::program_killed,
        {{"processes", left.size()},
         {"reason", "still running " + format_duration(kKillAfter) + " after being asked to end"}});
  for (const std::int64_t pid : left)
    uv::send_signal(pid, SIGKILL);
  kill_timer_ = world_.env().after(kKillAgain, [this] { kill_all(); });
}

}  // namespace outrider::cli::beside
