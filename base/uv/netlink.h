// SPDX-License-Identifier: Apache-2.0
// The host's interfaces and their changes. netlink.cc uses rtnetlink. Where a sandbox denies that,
// interfaces_ioctl.cc uses ioctls, which report less (no kinds), and the interfaces are compared
// every kInterfacePoll. A resume is reported as a change: the network may differ.
#pragma once

#include <optional>
#include <vector>

#include "base/callback.h"
#include "base/uv/poll.h"
#include "base/uv/state.h"

namespace outrider::uv {

inline constexpr Duration kInterfacePoll = std::chrono::seconds(10);
/// From one comparison to the next, whatever the hints: each reads all links and addresses, and a
/// host of containers has thousands that come and go.
inline constexpr Duration kInterfacePause = std::chrono::milliseconds(100);

/// Sorted by index. nullopt when netlink is denied or its answer is malformed.
std::optional<std::vector<Interface>> interfaces_by_netlink();
std::vector<Interface> interfaces_by_ioctl();
std::vector<Interface> read_interfaces();

/// Calls when the machine may have been suspended, without polling: a resume changes the offset of
/// wall time from monotonic time, as does a step of the clock, and that cancels a timer with
/// TFD_TIMER_CANCEL_ON_SET (timerfd_create(2)).
class ResumeHint final : private PollOwner {
 public:
  explicit ResumeHint(Callback<void()> callback) : callback_(std::move(callback)) {}
  /// Where there is no such timer, the callback is never called.
  void start(Core& core);

 private:
  void on_poll(int status, int events) override;
  void arm();

  Callback<void()> callback_;
  FileDescriptor fd_;
  Poll poll_;
};

/// Compares read_interfaces() after each hint of a change and notifies the watchers.
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
  /// Removing the last one destroys the monitor.
  void remove(Watcher& watcher);
  void end_if_unused();

 private:
  void on_poll(int status, int events) override;
  bool open();
  void compare();
  void compare_after(Duration delay);

  Loop::State& loop_;
  FileDescriptor fd_;  // a netlink socket, if it is permitted
  std::vector<Watcher*> watchers_;
  std::vector<Interface> known_;
  Duration suspended_{};
  TimePoint rested_{};  // no comparison before
  Timer comparison_;
  ResumeHint resume_;
  Life life_;
  Poll poll_;
};

}  // namespace outrider::uv
