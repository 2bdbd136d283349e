// SPDX-License-Identifier: Apache-2.0
#include "base/timer_queue.h"

#include <utility>

#include "base/assert.h"

namespace outrider {

// A node belongs to its Timer. While it is in the heap `queue` is set; once it has fired or the
// queue has taken it out, it only waits for its Timer to let go of it.
struct Timer::Node {
  TimerQueue* queue;
  TimePoint due;
  std::uint64_t sequence;
  std::size_t index;
  Callback<void()> callback;
};

Timer::Timer(Timer&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}

Timer& Timer::operator=(Timer&& other) noexcept {
  if (this != &other) {
    reset();
    node_ = std::exchange(other.node_, nullptr);
  }
  return *this;
}

void Timer::reset() noexcept {
  Node* node = std::exchange(node_, nullptr);
  if (node == nullptr) return;
  if (node->queue != nullptr) node->queue->remove(node);
  delete node;
}

bool Timer::pending() const {
  return node_ != nullptr && node_->queue != nullptr;
}

TimePoint Timer::due() const {
  OUTRIDER_ASSERT(pending());
  return node_->due;
}

TimerQueue::~TimerQueue() {
  OUTRIDER_ASSERT(heap_.empty());
}

Timer TimerQueue::at(TimePoint due, Callback<void()> callback) {
  std::unique_ptr<Node> node(new Node{this, due, sequence_++, heap_.size(), std::move(callback)});
  heap_.push_back(node.get());
  sift_up(node->index);
  return Timer(node.release());
}

std::optional<TimePoint> TimerQueue::next_due() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front()->due;
}

std::size_t TimerQueue::run_due(TimePoint now, Callback<bool()> enough) {
  const std::uint64_t armed_before = sequence_;
  std::size_t ran = 0;
  // A timer armed by a callback for the past can sort before an older one that is due. It must
  // not hide the older one, so such newcomers are set aside by raising them to `now`: they then
  // sort after everything that was due, by sequence.
  while (!heap_.empty() && heap_.front()->due <= now) {
    Node* node = heap_.front();
    if (node->sequence >= armed_before) {
      if (node->due == now) break;
      node->due = now;
      sift_down(0);
      continue;
    }
    remove(node);
    // The callback may destroy its Timer, and with it the node.
    Callback<void()> callback = std::move(node->callback);
    ++ran;
    callback();
    if (enough && enough()) break;
  }
  return ran;
}

bool TimerQueue::before(const Node& a, const Node& b) {
  return a.due != b.due ? a.due < b.due : a.sequence < b.sequence;
}

void TimerQueue::place(std::size_t index, Node* node) {
  heap_[index] = node;
  node->index = index;
}

void TimerQueue::sift_up(std::size_t index) {
  Node* node = heap_[index];
  while (index > 0) {
    const std::size_t parent = (index - 1) / 2;
    if (!before(*node, *heap_[parent])) break;
    place(index, heap_[parent]);
    index = parent;
  }
  place(index, node);
}

void TimerQueue::sift_down(std::size_t index) {
  Node* node = heap_[index];
  while (true) {
    std::size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], *node)) break;
    place(index, heap_[child]);
    index = child;
  }
  place(index, node);
}

void TimerQueue::remove(Node* node) {
  const std::size_t index = node->index;
  OUTRIDER_ASSERT(index < heap_.size() && heap_[index] == node);
  Node* last = heap_.back();
  heap_.pop_back();
  node->queue = nullptr;
  if (last == node) return;
  place(index, last);
  sift_up(index);
  sift_down(last->index);
}

}  // namespace outrider
