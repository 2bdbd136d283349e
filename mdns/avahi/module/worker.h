// SPDX-License-Identifier: Apache-2.0
// The thread of the module, and what it shares with the main loop: one mutex, never held across a
// call of the library, and an eventfd to wake each side.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>

#include "mdns/avahi/client.h"

namespace outrider::mdns::avahi {

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
  std::vector<Event> events;
  std::uint64_t connection = 0;  // the current one; events of earlier ones are dropped
  Request request = Request::none;
  bool abandoned = false;
  bool left = false;  // disconnect is done
  Signal to_thread;
  Signal to_main;

  /// Called by the thread. Blocks while kEventsMax events wait: the main loop takes all of them at
  /// once, so it is late or gone. Events of an earlier connection are dropped.
  void post(std::uint64_t of, Event event) {
    std::unique_lock lock(mutex);
    drained.wait(lock, [&] { return events.size() < kEventsMax || abandoned || connection != of; });
    if (connection != of) return;
    events.push_back(std::move(event));
    to_main.raise();
  }
};

/// Runs until it is abandoned. Takes a std::shared_ptr<Shared>* of its own.
void* run_worker(void* handed_over);

}  // namespace outrider::mdns::avahi
