// SPDX-License-Identifier: Apache-2.0
// The host's interfaces and their changes. netlink.cc asks rtnetlink; where a sandbox denies that,
// interfaces_ioctl.cc asks the old way, which knows less (no kinds), and changes are looked for
// every kInterfacePoll.
#pragma once

#include <optional>
#include <vector>

#include "base/uv/poll.h"
#include "base/uv/state.h"

namespace outrider::uv {

inline constexpr Duration kInterfacePoll = std::chrono::seconds(10);

/// By index. Nothing when netlink is denied or its answer makes no sense.
std::optional<std::vector<Interface>> interfaces_by_netlink();
std::vector<Interface> interfaces_by_ioctl();
std::vector<Interface> read_interfaces();

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
  Timer comparison_;
  Life life_;
  Poll poll_;
};

}  // namespace outrider::uv
