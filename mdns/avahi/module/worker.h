// SPDX-License-Identifier: Apache-2.0
// The thread of the module, and what it shares with the main loop: one mutex, never held across a
// call of the library, and an eventfd to wake each side.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "mdns/avahi/client.h"

namespace outrider::mdns::avahi {

/// Events that the main loop handles in one turn: it also answers DNS, and any host of the LAN can
/// make the daemon report thousands.
inline constexpr std::size_t kEventsPerTurn = 64;

class Signal {
 public:
  Signal() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Signal() {
    if (fd_ >= 0) close(fd_);
  }
  Signal(const Signal&) = delete;
  int fd() const { return fd_; }
  void raise() const {
    const std::uint64_t one = 1;
    // A full counter is raised as well.
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
  }
  void clear() const {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
  }

 private:
  int fd_;
};

struct Shared {
  enum class Request : std::uint8_t { none, connect, disconnect };

  std::mutex mutex;
  std::condition_variable drained;
  std::deque<Command> commands;
  std::deque<Event> events;
  std::uint64_t connection = 0;  // the current one; events of earlier ones are dropped
  Request request = Request::none;
  bool abandoned = false;
  bool left = false;  // disconnect is done
  Signal to_thread;
  Signal to_main;

  /// Called by the thread. Blocks while kEventsMax events wait for the main loop. Events of an
  /// earlier connection are dropped.
  void post(std::uint64_t of, Event event) {
    std::unique_lock lock(mutex);
    drained.wait(lock, [&] { return events.size() < kEventsMax || abandoned || connection != of; });
    if (connection != of) return;
    events.push_back(std::move(event));
    to_main.raise();
  }

  /// Called by the main loop, which holds the mutex: the oldest events. If there are more, it is
  /// woken again.
  std::vector<Event> take() {
    const auto end =
        events.begin() + static_cast<std::ptrdiff_t>(std::min(events.size(), kEventsPerTurn));
    std::vector<Event> taken(std::make_move_iterator(events.begin()), std::make_move_iterator(end));
    events.erase(events.begin(), end);
    if (!events.empty()) to_main.raise();
    drained.notify_all();
    return taken;
  }
};

/// Runs until it is abandoned. Takes a std::shared_ptr<Shared>* of its own.
void* run_worker(void* handed_over);

}  // namespace outrider::mdns::avahi
