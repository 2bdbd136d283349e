// SPDX-License-Identifier: Apache-2.0
// The host's interfaces and their changes. netlink.cc asks rtnetlink; where a sandbox denies that,
// interfaces_ioctl.cc asks the old way, which knows less (no kinds), and changes are looked for
// every kInterfacePoll. A machine that has slept may be elsewhere: that is told as a change.
#pragma once

#include <optional>
#include <vector>

#include "base/callback.h"
#include "base/uv/poll.h"
#include "base/uv/state.h"

namespace outrider::uv {

inline constexpr Duration kInterfacePoll = std::chrono::seconds(10);

/// By index. Nothing when netlink is denied or its answer makes no sense.
std::optional<std::vector<Interface>> interfaces_by_netlink();
std::vector<Interface> interfaces_by_ioctl();
std::vector<Interface> read_interfaces();

/// Calls when the machine may have slept. Nothing wakes up for it meanwhile: a timer that is
/// cancelled when the offset of wall time from monotonic time changes is cancelled by a resume
/// (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET; also by a step of the clock).
class ResumeHint final : private PollOwner {
 public:
  explicit ResumeHint(Callback<void()> callback) : callback_(std::move(callback)) {}
  /// Where there is no such timer nothing is ever called.
  void start(Core& core);

 private:
  void on_poll(int status, int events) override;
  void arm();

  Callback<void()> callback_;
  FileDescriptor fd_;
  Poll poll_;
};

/// Compares what read_interfaces() says after each hint of a change and tells those who watch.
class InterfaceMonitor final : private PollOwner {
 public:
  class Watcher {
   public:
    virtual void on_change() = 0;

   protected:
    ~Watcher() = default;
  };

  explicit InterfaceMonitor(Loop::State& loop);

  void add(Watcher& watcher) { watchers_.push_back(&watcher); }
  /// The last one to go takes the monitor with it.
  void remove(Watcher& watcher);

 private:
  void on_poll(int status, int events) override;
  bool open();
  void compare();
  void compare_after(Duration delay);

  Loop::State& loop_;
  FileDescriptor fd_;  // a netlink socket, if there may be one
  std::vector<Watcher*> watchers_;
  std::vector<Interface> known_;
  Duration suspended_{};
  Timer comparison_;
  ResumeHint resume_;
  Life life_;
  Poll poll_;
};

}  // namespace outrider::uv
