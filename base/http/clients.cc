// SPDX-License-Identifier: Apache-2.0
#include "base/http/clients.h"

#include <tuple>
#include <utility>

namespace outrider::http {
namespace {

/// After this time no further request is begun in a turn, whatever is left of its number: an answer
/// may be short and yet take long to make.
constexpr Duration kTurnTimeMax = std::chrono::milliseconds(1);

}  // namespace

void Clients::add(Member& member) {
  member.all_at_ = all_.insert(all_.end(), &member);
  member.moved_ = env_.now();
}

void Clients::remove(Member& member) {
  all_.erase(member.all_at_);
  if (auto* queue = std::exchange(member.waiting_, nullptr)) queue->erase(member.waiting_at_);
  if (turn_of_ == &member) turn_of_ = nullptr;
  queued_ -= std::exchange(member.queued_, 0);
}

// --- time --------------------------------------------------------------------------------------

bool Clients::exhausted() const {
  return turn_requests_ >= kTurnRequestsMax || turn_bytes_ >= kTurnBytesMax;
}

bool Clients::may_work(Member& member, Work work) {
  const bool its_turn = std::exchange(turn_of_, nullptr) == &member;
  arm_turn();
  const bool first = waiting_changes_.empty() && (work == Work::changes || waiting_reads_.empty());
  if (!exhausted() && (its_turn || first)) {
    ++turn_requests_;
    if (work == Work::changes) ++turn_changes_;
    return true;
  }
  if (member.waiting_ == nullptr) {
    member.waiting_ = &queue_of(work);
    member.waiting_at_ = member.waiting_->insert(member.waiting_->end(), &member);
  }
  return false;
}

void Clients::charge(std::size_t bytes) {
  turn_bytes_ += bytes;
  work_bytes_ += bytes;
  arm_turn();
  if (work_bytes_ >= kStormBytes && !calm_timer_.pending()) arm_calm();
}

void Clients::arm_turn() {
  if (!turn_timer_.pending()) turn_timer_ = env_.after(Duration::zero(), [this] { begin_turn(); });
}

/// Null: nothing waits. Changes go first, but leave a share of each turn to what only reads.
std::list<Clients::Member*>* Clients::next_queue() {
  const bool changes = !waiting_changes_.empty();
  const bool reads = !waiting_reads_.empty();
  if (changes && (!reads || turn_changes_ < kTurnChangesMax)) return &waiting_changes_;
  return reads ? &waiting_reads_ : nullptr;
}

void Clients::begin_turn() {
  turn_requests_ = turn_changes_ = turn_bytes_ = 0;
  // By the wall clock, since the other one stands still within a turn.
  const WallTime begun = env_.clock.wall();
  while (!exhausted() && env_.clock.wall() - begun < kTurnTimeMax) {
    auto* queue = next_queue();
    if (queue == nullptr) break;
    Member& next = *queue->front();
    queue->pop_front();
    next.waiting_ = nullptr;
    turn_of_ = &next;
    next.on_turn();
  }
  turn_of_ = nullptr;
  if (next_queue() != nullptr) arm_turn();
}

// --- memory ------------------------------------------------------------------------------------

void Clients::set_queued(Member& member, std::size_t bytes) {
  if (bytes < member.queued_ || member.queued_ == 0) member.moved_ = env_.now();
  queued_ += bytes;
  queued_ -= std::exchange(member.queued_, bytes);
  if (queued_ > kQueuesBytesMax) evict_beyond_limit();
}

void Clients::evict_beyond_limit() {
  for (std::size_t in_vain = 0; queued_ > kQueuesBytesMax;) {
    Member* lagging = nullptr;
    std::size_t readers = 0;
    // Of those that are equally late, the one that costs most.
    const auto earlier = [](const Member& a, const Member& b) {
      return std::tuple(a.moved_, b.queued_) < std::tuple(b.moved_, a.queued_);
    };
    for (Member* member : all_) {
      if (member->queued_ == 0) continue;
      ++readers;
      if (lagging == nullptr || earlier(*member, *lagging)) lagging = member;
    }
    if (readers <= 1 || in_vain >= readers) return;
    if (!lagging->on_evicted()) {  // in the middle of its own work
      lagging->moved_ = env_.now();
      ++in_vain;
      continue;
    }
    ++evicted_;
    queued_ -= std::exchange(lagging->queued_, 0);
  }
}

void Clients::arm_calm() {
  work_bytes_seen_ = work_bytes_;
  calm_timer_ = env_.after(kCalmTime, [this] {
    if (queued_ > kCalmBytes || work_bytes_ - work_bytes_seen_ > kCalmBytes) return arm_calm();
    work_bytes_ = 0;
    if (calm_) calm_();
  });
}

}  // namespace outrider::http
