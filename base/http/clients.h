// SPDX-License-Identifier: Apache-2.0
// What the clients of all servers of an agent may use together: time in each turn of the loop, and
// memory for what waits until they read it. The loop also answers DNS, so no client may keep it
// busy, and a client that does not read must not cost the others their service.
//
//   Connection ▸ may_work          a request is answered at once, or in a later turn, in order;
//                                  what changes something goes before what only reads
//   Connection ▸ set_queued        beyond kQueuesBytesMax the connections that have waited longest
//                                  for their client are dropped, until the rest fits
//   charge ▸ (quiet again) ▸ on_calm   the moment to give memory back to the system
//
// Work is counted in requests and octets, since the clock stands still during a turn.
#pragma once

#include <cstdint>
#include <list>

#include "base/env.h"

namespace outrider::http {

/// Requests that are begun in one turn of the loop, and octets of answers after which none is.
inline constexpr std::size_t kTurnRequestsMax = 16;
inline constexpr std::size_t kTurnBytesMax = 64U << 10;
/// Of these requests, how many may change something while others wait to read.
inline constexpr std::size_t kTurnChangesMax = 12;
/// Octets that are kept for all clients together: answers that they have not read, and requests
/// that are not complete or not begun. One connection alone may have more: an answer is as long as
/// it has to be.
inline constexpr std::size_t kQueuesBytesMax = 32U << 20;
/// Octets of work after which the quiet is waited for, and what is quiet for kCalmTime.
inline constexpr std::size_t kStormBytes = 8U << 20;
inline constexpr std::size_t kCalmBytes = 256U << 10;
inline constexpr Duration kCalmTime = std::chrono::seconds(1);

enum class Work : std::uint8_t { changes, reads };

class Clients {
 public:
  class Member {
   public:
    Member() = default;
    Member(const Member&) = delete;

   protected:
    ~Member() = default;

   private:
    friend class Clients;
    /// One request may be begun now; may destroy the member.
    virtual void on_turn() = 0;
    /// Its queue is to be freed before the call returns. False: that is not possible right now.
    virtual bool on_evicted() = 0;

    std::list<Member*>::iterator all_at_, waiting_at_;
    std::list<Member*>* waiting_ = nullptr;  // the queue that it is in
    std::size_t queued_ = 0;
    TimePoint moved_;  // when the queue was last empty or became shorter
  };

  explicit Clients(Env& env) : env_(env) {}
  Clients(const Clients&) = delete;

  void add(Member& member);
  void remove(Member& member);

  /// True if a request may be begun now. Otherwise on_turn() comes in a later turn, in the order of
  /// the calls.
  bool may_work(Member& member, Work work);
  /// Octets of an answer that was just made.
  void charge(std::size_t bytes);
  /// Octets that are kept for this member's client. Members may be evicted, this one included.
  void set_queued(Member& member, std::size_t bytes);

  /// Called when all is quiet again after much work.
  void on_calm(Callback<void()> callback) { calm_ = std::move(callback); }

  std::size_t queued() const { return queued_; }
  std::uint64_t evicted() const { return evicted_; }

 private:
  void arm_turn();
  void begin_turn();
  bool exhausted() const;
  std::list<Member*>& queue_of(Work work) {
    return work == Work::changes ? waiting_changes_ : waiting_reads_;
  }
  std::list<Member*>* next_queue();
  void evict_beyond_limit();
  void arm_calm();

  Env& env_;
  std::list<Member*> all_, waiting_changes_, waiting_reads_;
  const Member* turn_of_ = nullptr;  // in its on_turn(), not begun yet
  std::size_t turn_requests_ = 0, turn_changes_ = 0, turn_bytes_ = 0;
  std::size_t queued_ = 0;
  std::size_t work_bytes_ = 0, work_bytes_seen_ = 0;  // since the last calm, and a while ago
  std::uint64_t evicted_ = 0;
  Timer turn_timer_, calm_timer_;
  Callback<void()> calm_;
};

}  // namespace outrider::http
