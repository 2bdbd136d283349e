// SPDX-License-Identifier: Apache-2.0
#include "base/uv/stream_poll.h"

#include <cerrno>

#include "base/assert.h"
#include "base/uv/turn_budget.h"

namespace outrider::uv {

// --- StreamPolls -----------------------------------------------------------------------------

Result<void, NetError> StreamPolls::open() {
  FileDescriptor made(::epoll_create1(EPOLL_CLOEXEC));
  if (!made) return failure(net_error(errno));
  epoll_ = std::move(made);
  const auto opened = poll_.open(core_, epoll_.get(), *this);
  if (!opened) {
    epoll_.reset();
    return opened;
  }
  poll_.set(UV_READABLE);
  return {};
}

void StreamPolls::close() {
  OUTRIDER_ASSERT(free_.size() == slots_.size());
  poll_.close();
  epoll_.reset();
}

Result<std::uint32_t, NetError> StreamPolls::add(int fd, std::uint32_t events) {
  if (!epoll_) {
    if (const auto opened = open(); !opened) return failure(opened.error());
  }
  if (free_.empty()) {
    // What needs memory comes first: a failure changes nothing, and remove() needs none.
    const std::size_t places = slots_.size() + 1;
    if (free_.capacity() < places) free_.reserve(2 * places);
    slots_.emplace_back();
    free_.push_back(static_cast<std::uint32_t>(places - 1));
  }
  const std::uint32_t index = free_.back();
  slots_[index].fd = fd;
  if (!control(EPOLL_CTL_ADD, index, events)) return failure(net_error(errno));
  free_.pop_back();
  slots_[index].wanted = events;
  ++core_.open;
  return index;
}

void StreamPolls::remove(std::uint32_t index) {
  if (has_duplicates_) control(EPOLL_CTL_DEL, index, 0);
  Slot& slot = slots_[index];
  slot.owner = nullptr;
  ++slot.generation;
  free_.push_back(index);
  core_.on_cell_closed();
}

bool StreamPolls::control(int operation, std::uint32_t index, std::uint32_t events) {
  Slot& slot = slots_[index];
  epoll_event event{};
  // Errors and hang-ups cannot be left out. Where nothing is wanted they come once, not forever.
  event.events = events != 0 ? events : std::uint32_t{EPOLLET};
  if ((events & EPOLLIN) != 0) event.events |= EPOLLRDHUP | EPOLLPRI;
  event.data.u64 = std::uint64_t{slot.generation} << 32U | index;
  slot.registered = events;
  slot.passed_over = false;
  return ::epoll_ctl(epoll_.get(), operation, slot.fd, &event) == 0;
}

void StreamPolls::on_poll(int status, int) {
  if (status < 0) {
    poll_.restart();
    poll_.set(UV_READABLE);
  }
  // Of its own, from here on: all streams share one place among the sockets, and a probe among them
  // must not wait for a flood of datagrams to end.
  TurnBudget budget;
  budget.begin();
  if (next_ready_ == ready_count_) {
    const int count = ::epoll_wait(epoll_.get(), ready_.data(), kStreamEventsMax, 0);
    ready_count_ = count < 0 ? 0 : static_cast<std::size_t>(count);
    next_ready_ = 0;
  }
  const Life::Watch watch(life_);
  while (next_ready_ < ready_count_) {
    const epoll_event event = ready_[next_ready_++];
    const auto index = static_cast<std::uint32_t>(event.data.u64);
    if (slots_[index].generation != event.data.u64 >> 32U) continue;
    deliver(index, event.events);
    if (watch.gone() || budget.is_spent()) return;
  }
}

void StreamPolls::deliver(std::uint32_t index, std::uint32_t ready) {
  Slot& slot = slots_[index];
  // A read also stops at urgent data, and what is left before an error is not the end either.
  if ((ready & (EPOLLERR | EPOLLPRI)) != 0) ready &= ~std::uint32_t{EPOLLRDHUP};
  if ((ready & (EPOLLERR | EPOLLHUP)) != 0) ready |= EPOLLIN | EPOLLOUT;
  if ((ready & slot.wanted) != 0)
    slot.owner->on_ready(ready & (slot.wanted | EPOLLRDHUP));
  else if (slot.registered != slot.wanted && std::exchange(slot.passed_over, true))
    control(EPOLL_CTL_MOD, index, slot.wanted);
}

// --- StreamPoll ------------------------------------------------------------------------------

Result<void, NetError> StreamPoll::open(StreamPolls& polls, int fd, std::uint32_t events) {
  OUTRIDER_ASSERT(polls_ == nullptr);
  const auto index = polls.add(fd, events);
  if (!index) return failure(index.error());
  polls_ = &polls;
  index_ = *index;
  return {};
}

void StreamPoll::close() {
  if (StreamPolls* polls = std::exchange(polls_, nullptr)) polls->remove(index_);
}

void StreamPoll::set(std::uint32_t events) {
  StreamPolls::Slot& slot = polls_->slots_[index_];
  slot.wanted = events;
  if ((events & ~slot.registered) != 0) polls_->control(EPOLL_CTL_MOD, index_, events);
}

}  // namespace outrider::uv
