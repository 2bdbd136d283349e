// SPDX-License-Identifier: Apache-2.0
// How long a turn works on what can wait. libuv visits each ready socket once in a turn, so what
// one socket does with all that it has received delays the DNS queries in another one. Sockets
// therefore work in portions: after each they ask whether the turn has worked long enough, and
// leave the rest to the next turn. Each does one portion in a turn, so that none starves. Datagrams
// and new connections share one budget; the streams, which share one socket of libuv, have another,
// and so have the timers that are due.
#pragma once

#include <ctime>
#include <optional>

#include "base/time.h"

namespace outrider::uv {

inline constexpr Duration kTurnBudget = std::chrono::milliseconds(1);

class TurnBudget {
 public:
  /// Before the first portion of a socket. The first call in a turn starts the clock.
  void begin() {
    if (!began_) began_ = read();
  }
  bool is_spent() const { return began_ && read() - *began_ >= kTurnBudget; }
  void turn_ends() { began_.reset(); }

 private:
  // Not LoopClock, which stands still during a turn.
  static Duration read() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  std::optional<Duration> began_;
};

}  // namespace outrider::uv
