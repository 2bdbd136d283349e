// SPDX-License-Identifier: Apache-2.0
// Work that is done a portion in each turn of the loop, in the order in which it came, so that
// queries are answered in between. What fits into the portion of this turn is done at once, before
// add() returns.
#pragma once

#include <deque>

#include "base/env.h"

namespace outrider {

class Portions {
 public:
  /// Does one step; true: there is no more of it. It may destroy nothing that it belongs to.
  using Work = Callback<bool()>;

  /// `steps` are done in a turn. Beyond `waiting_max` works, each new one is paid for with a step
  /// at once: what comes faster for long does not grow without bound.
  Portions(Env& env, std::size_t steps, std::size_t waiting_max)
      : env_(env), steps_(steps), waiting_max_(waiting_max) {}

  /// Not from within a step.
  void add(Work work);
  std::size_t waiting() const { return waiting_.size(); }
  /// Forgets what is waiting.
  void clear();

 private:
  bool has_steps();
  void step();
  void run();

  Env& env_;
  const std::size_t steps_, waiting_max_;
  std::deque<Work> waiting_;
  TimePoint turn_;
  std::size_t done_ = 0;  // steps of this turn
  Timer timer_;
};

}  // namespace outrider
