// SPDX-License-Identifier: Apache-2.0
#include "agent/portions.h"

#include <utility>

namespace outrider {

/// The time stands still within a turn.
bool Portions::has_steps() {
  if (std::exchange(turn_, env_.now()) != env_.now()) done_ = 0;
  return done_ < steps_;
}

void Portions::add(Work work) {
  waiting_.push_back(std::move(work));
  if (waiting_.size() > waiting_max_) step();
  run();
}

void Portions::clear() {
  waiting_.clear();
  timer_.reset();
}

void Portions::step() {
  ++done_;
  if (waiting_.front()()) waiting_.pop_front();
}

void Portions::run() {
  while (!waiting_.empty() && has_steps())
    step();
  if (!waiting_.empty() && !timer_.pending())
    timer_ = env_.after(Duration::zero(), [this] {
      done_ = 0;
      run();
    });
}

}  // namespace outrider
