// SPDX-License-Identifier: Apache-2.0
// The notification protocol of systemd (sd_notify(3)), without its library: one datagram to the
// socket that $NOTIFY_SOCKET names, a path or '@' and an abstract name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace outrider {

class ServiceManager {
 public:
  /// Reads the environment; without $NOTIFY_SOCKET every call does nothing.
  ServiceManager();
  explicit ServiceManager(std::string socket) : socket_(std::move(socket)) {}

  bool present() const { return !socket_.empty(); }
  void ready() { send("READY=1"); }
  void status(std::string_view text);
  /// RELOADING=1 wants the time at which it began (Type=notify-reload).
  void reloading(TimePoint now);
  void stopping() { send("STOPPING=1"); }
  void extend_timeout(Duration by);
  void watchdog() { send("WATCHDOG=1"); }
  /// How often watchdog() is wanted: half of $WATCHDOG_USEC, if it is meant for this process.
  static std::optional<Duration> watchdog_interval();

 private:
  void send(const std::string& state);
  std::string socket_;
};

}  // namespace outrider
