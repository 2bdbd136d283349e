// SPDX-License-Identifier: Apache-2.0
// The notification protocol of systemd (sd_notify(3)), without its library: one datagram to the
// socket that $NOTIFY_SOCKET names, a path or '@' and an abstract name. All services of a host
// share it, and it may be full: states that a unit waits for are then sent again by a timer.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"

namespace outrider {

inline constexpr Duration kNotifyRetry = std::chrono::milliseconds(100);
inline constexpr std::size_t kNotifyUnsentMax = 64;

class ServiceManager {
 public:
  /// Reads the environment; without $NOTIFY_SOCKET every call does nothing.
  explicit ServiceManager(Env& env);
  ServiceManager(Env& env, std::string socket) : env_(env), socket_(std::move(socket)) {}

  bool present() const { return !socket_.empty(); }
  void ready() { send_surely("READY=1"); }
  void status(std::string_view text);
  /// RELOADING=1 carries the time at which the reload began (Type=notify-reload).
  void reloading(TimePoint now);
  void stopping() { send_surely("STOPPING=1"); }
  void extend_timeout(Duration by);
  void watchdog() { (void)send({"WATCHDOG=1"}); }
  /// Leaves a descriptor with the manager, which hands it to the unit's next process, as often as
  /// it starts, until the unit is stopped. `fd` stays open here until it has been sent.
  void store(const std::string& name, int fd);
  /// The manager closes what has this name.
  void unstore(const std::string& name);
  /// The interval for watchdog(): half of $WATCHDOG_USEC, when that is meant for this process.
  static std::optional<Duration> watchdog_interval();

 private:
  struct Message {
    std::string state;
    int fd = -1;  // sent with it; none
  };
  /// False: the socket is full.
  bool send(const Message& message);
  void send_surely(std::string state, int fd = -1);
  void retry();

  Env& env_;
  std::string socket_;
  std::deque<Message> unsent_;  // at most kNotifyUnsentMax
  Timer retry_timer_;
};

}  // namespace outrider
