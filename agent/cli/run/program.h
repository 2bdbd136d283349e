// SPDX-License-Identifier: Apache-2.0
// The program of `outrider run`: its start, the signals that it gets, and its end with everything
// that it has started.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/cli/cli.h"
#include "agent/process/supervisor.h"
#include "base/uv/loop.h"

namespace outrider::cli::beside {

/// How long after its signal the program is killed; the time that it has after a Ctrl-C, too.
inline constexpr Duration kKillAfter = std::chrono::seconds(10);
/// The interval at which killing is repeated.
inline constexpr Duration kKillAgain = std::chrono::seconds(1);

/// Exit statuses for a program that was not started; all others are its own.
inline constexpr int kProgramNotExecutable = 126;
inline constexpr int kProgramNotFound = 127;

/// The program with everything that it has started, and how they are stopped.
class Program {
 public:
  Program(RealWorld& world, Supervisor& supervisor) : world_(world), supervisor_(supervisor) {}

  /// False, with the reason printed, if it cannot be run. Then the agent is asked to stop.
  bool start(std::vector<std::string> words, std::vector<std::string> environment);
  /// Not yet started, or ended: 0.
  std::int64_t pid() const { return process_ ? process_->pid() : 0; }
  bool is_stopping() const { return stopping_; }
  /// It ended although the user had not asked for that.
  bool ended_by_itself() const { return ended_by_itself_; }
  std::optional<uv::ExitStatus> status() const { return status_; }
  /// Ends the agent, and the program if there is one, with this exit status instead of its own.
  void give_up(int exit_status);
  void on_signal(int signal, uv::SignalOrigin origin);
  /// Called when the agent is gone; the program may still be ending.
  void wait_for_end() {
    agent_closed_ = true;
    while (process_ || leaving_)
      world_.loop().run();
  }
  /// As a shell reports it: the program's own status, or 128 plus the signal.
  int exit_status() const {
    if (given_up_) return *given_up_;
    if (!status_) return asked_by_ != 0 ? 128 + asked_by_ : int{kFailed};
    return status_->signal != 0 ? 128 + status_->signal : status_->code;
  }

 private:
  void stop(int signal, uv::SignalOrigin origin);
  void ask_to_end(int signal);
  void on_exit(uv::ExitStatus status);
  void on_child_signal();
  void end_the_rest();
  void kill_all();
  void forward(int signal) {
    if (process_) process_->kill(signal);
  }
  void say_stopping(std::string_view signal, std::size_t processes, std::string_view why) {
    world_.env().log.record(
        LogEvent::program_stopping,
        {{"signal", signal}, {"processes", processes}, {"duration", kKillAfter}, {"reason", why}});
    supervisor_.extend_timeout(kKillAfter + std::chrono::seconds(5));
    kill_timer_ = world_.env().after(kKillAfter, [this] { kill_all(); });
  }

  RealWorld& world_;
  Supervisor& supervisor_;
  std::unique_ptr<Pending> child_watch_;
  std::unique_ptr<uv::Process> process_;
  std::optional<uv::ExitStatus> status_;
  std::optional<int> given_up_;
  int asked_by_ = 0;  // the first signal that asks to end
  Timer term_timer_, kill_timer_;
  bool stopping_ = false;
  bool hurried_ = false;    // a second signal has come
  bool signalled_ = false;  // the program has been sent the signal that ends it
  bool leaving_ = false;    // the program has ended, what it has started has not
  bool agent_closed_ = false;
  bool ended_by_itself_ = false;
};

}  // namespace outrider::cli::beside
