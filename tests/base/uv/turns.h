// SPDX-License-Identifier: Apache-2.0
// Real sockets without sleeps: turn the loop until what is awaited has come.
#pragma once

#include <functional>

#include "base/uv/loop.h"
#include "base/uv/turn_budget.h"

namespace outrider::uv {

/// False when it has not come within the number of turns or five seconds.
inline bool turn_until(Loop& loop, const std::function<bool()>& done, int turns = 10'000) {
  bool late = false;
  const Timer bound =
      loop.timers().at(loop.clock().now() + std::chrono::seconds(5), [&] { late = true; });
  for (int i = 0; i < turns && !late; ++i) {
    if (done()) return true;
    loop.turn(true);
  }
  return done();
}

/// Works until the turn that it is called in has spent its budget, however fast the machine is.
inline void spend_turn() {
  TurnBudget budget;
  budget.begin();
  while (!budget.is_spent()) {
  }
}

/// A few turns in which nothing is awaited: for "it does not come".
inline void turn_idly(Loop& loop, int turns = 5) {
  for (int i = 0; i < turns; ++i)
    loop.turn(false);
}

}  // namespace outrider::uv
