// SPDX-License-Identifier: Apache-2.0
// Readiness of the sockets of streams. A uv_poll suits descriptors that live long: for one that
// lives for a single exchange it costs five system calls and a handle that closes a turn later.
// Here one epoll descriptor, which one uv_poll watches, holds the sockets of all streams: one
// system call when a socket is added, one for each change in between, and one when it is removed,
// which only a program that may fork needs.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include <sys/epoll.h>

#include "base/uv/poll.h"

namespace outrider::uv {

/// Ready sockets that are handled in one turn at most; the rest follow in the next.
inline constexpr std::size_t kStreamEventsMax = 256;

class StreamPolls final : private PollOwner {
 public:
  explicit StreamPolls(Core& core) : core_(core) {}
  StreamPolls(const StreamPolls&) = delete;
  StreamPolls& operator=(const StreamPolls&) = delete;

  /// Takes the descriptor that it needs now rather than with the first socket, when there may be
  /// none left.
  void prepare() {
    if (!epoll_) (void)open();
  }
  /// No descriptor has a duplicate: closing one is enough to remove it.
  void assume_no_duplicates() { has_duplicates_ = false; }
  /// Once no socket is left.
  void close();
  /// Handles of libuv that this holds for itself.
  std::size_t own_handles() const { return poll_ ? 1 : 0; }

 private:
  friend class StreamPoll;
  class Owner;

  // A socket has a slot while it is polled. Events carry the slot's generation, so that an event
  // for a socket that was closed meanwhile is not taken for its successor's.
  struct Slot {
    Owner* owner = nullptr;
    int fd = -1;
    std::uint32_t generation = 0;
    std::uint32_t wanted = 0;
    std::uint32_t registered = 0;  // what the kernel watches; may be more than is wanted
    bool passed_over = false;      // an event that is not wanted came since then
  };

  Result<void, NetError> open();
  Result<std::uint32_t, NetError> add(int fd, std::uint32_t events);
  void remove(std::uint32_t index);
  bool control(int operation, std::uint32_t index, std::uint32_t events);
  void on_poll(int status, int events) override;
  void deliver(std::uint32_t index, std::uint32_t ready);

  Core& core_;
  bool has_duplicates_ = true;
  FileDescriptor epoll_;  // from the first socket on
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  // What the kernel reported. If the budget of a turn does not suffice, the rest comes first in
  // the next one.
  std::array<epoll_event, kStreamEventsMax> ready_;
  std::size_t ready_count_ = 0, next_ready_ = 0;
  Life life_;
  Poll poll_;
};

/// Notified when its socket is ready; may destroy the socket.
class StreamPolls::Owner {
 public:
  /// EPOLLIN and EPOLLOUT, of those that are wanted, and EPOLLRDHUP if the peer has finished: a
  /// read that does not fill its buffer then was the last one. Errors and hang-ups are reported as
  /// both: reading or sending then returns the error.
  virtual void on_ready(std::uint32_t events) = 0;

 protected:
  ~Owner() = default;
};

/// Readiness of one socket, level-triggered, which one owner can hand to another. Must be destroyed
/// before its descriptor is closed: declare it after that.
class StreamPoll {
 public:
  using Owner = StreamPolls::Owner;

  StreamPoll() = default;
  StreamPoll(StreamPoll&& other) noexcept
      : polls_(std::exchange(other.polls_, nullptr)), index_(other.index_) {}
  StreamPoll& operator=(StreamPoll&& other) noexcept {
    if (this != &other) {
      close();
      polls_ = std::exchange(other.polls_, nullptr);
      index_ = other.index_;
    }
    return *this;
  }
  ~StreamPoll() { close(); }

  /// Waits for these from now on. Needs an owner before the turn ends.
  Result<void, NetError> open(StreamPolls& polls, int fd, std::uint32_t events);
  void set_owner(Owner& owner) { polls_->slots_[index_].owner = &owner; }
  void close();

  /// Waits for these instead; 0 for nothing. Events that are added are registered with the kernel
  /// at once. Those that are removed stay registered until one occurs twice: often they are wanted
  /// again, or the socket is closed.
  void set(std::uint32_t events);

 private:
  StreamPolls* polls_ = nullptr;
  std::uint32_t index_ = 0;
};

}  // namespace outrider::uv
