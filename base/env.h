// SPDX-License-Identifier: Apache-2.0
// Each worker gets an Env in its constructor; it is the worker's only access to the world. Its
// parts outlive the worker. Pure code does not take an Env; its functions take `now`.
#pragma once

#include "base/log.h"
#include "base/net.h"
#include "base/random.h"
#include "base/time.h"
#include "base/timer_queue.h"

namespace outrider {

struct Env {
  Clock& clock;
  TimerQueue& timers;
  Network& network;
  Random& random;
  Log& log;

  TimePoint now() const { return clock.now(); }

  /// Runs `callback` once after `delay`, as TimerQueue::at does.
  Timer after(Duration delay, Callback<void()> callback) const {
    return timers.at(clock.now() + delay, std::move(callback));
  }
};

}  // namespace outrider
