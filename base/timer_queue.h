// SPDX-License-Identifier: Apache-2.0
// The one structure of timers, for the real loop and for the simulator alike.
//
// Order is by (due, sequence of arming), so both worlds run the same program in the same order.
// The driver (base/uv/loop or sim::World) asks next_due(), waits or steps its clock, and calls
// run_due(now).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/callback.h"
#include "base/time.h"

namespace outrider {

class TimerQueue;

/// The right to be called back once. Destroying or resetting it cancels; after that the callback
/// never runs. An empty or fired Timer is not pending. A callback may destroy its own Timer, and
/// the owner of it. Must not outlive the queue.
class [[nodiscard]] Timer {
 public:
  Timer() = default;
  Timer(Timer&& other) noexcept;
  Timer& operator=(Timer&& other) noexcept;
  ~Timer() { reset(); }

  void reset() noexcept;
  bool pending() const;
  /// When it is due; only while pending.
  TimePoint due() const;

 private:
  friend class TimerQueue;
  struct Node;
  explicit Timer(Node* node) : node_(node) {}
  Node* node_ = nullptr;
};

class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue();

  /// Runs `callback` once at `due` or as soon after it as the loop turns; never before this call
  /// returns, also when `due` has passed.
  Timer at(TimePoint due, Callback<void()> callback);

  /// The due time of the earliest pending timer.
  std::optional<TimePoint> next_due() const;

  /// Runs the timers that are due at `now` and were armed before this call, in order; those that
  /// their callbacks arm for `now` or earlier wait for the next call, so that no chain of timers
  /// can hold the loop. Returns how many ran.
  /// `enough` is asked after each of them; once it is true, the rest waits for the next call.
  std::size_t run_due(TimePoint now, Callback<bool()> enough = {});

  std::size_t size() const { return heap_.size(); }

 private:
  friend class Timer;
  using Node = Timer::Node;

  static bool before(const Node& a, const Node& b);
  void place(std::size_t index, Node* node);
  void sift_up(std::size_t index);
  void sift_down(std::size_t index);
  void remove(Node* node);

  std::vector<Node*> heap_;  // binary heap; each node knows its index
  std::uint64_t sequence_ = 0;
};

}  // namespace outrider
