// SPDX-License-Identifier: Apache-2.0
// Readiness of one descriptor: a uv_poll whose owner may die inside on_poll, and which one owner
// can hand to another.
#pragma once

#include "base/net.h"
#include "base/uv/handle.h"
#include "base/uv/socket.h"

namespace outrider::uv {

class PollOwner {
 public:
  /// UV_READABLE and UV_WRITABLE. A negative status means that an error is pending on the
  /// descriptor and that libuv has stopped polling: see Poll::restart().
  virtual void on_poll(int status, int events) = 0;

 protected:
  ~PollOwner() = default;
};

/// Must be destroyed before its descriptor is closed: declare it after that.
class Poll {
 public:
  Result<void, NetError> open(Core& core, int fd, PollOwner& owner) {
    const int code = handle_.open(
        core, owner, [fd](uv_loop_t* uv, uv_poll_t* poll) { return uv_poll_init(uv, poll, fd); });
    if (code < 0) return failure(net_error(-code));
    return {};
  }
  void set_owner(PollOwner& owner) { handle_.set_owner(owner); }
  void close() { handle_.close(); }
  explicit operator bool() const { return static_cast<bool>(handle_); }

  /// Waits for these; 0 for nothing. Cheap when nothing changes.
  void set(int events) {
    if (events == events_) return;
    events_ = events;
    if (events == 0) {
      uv_poll_stop(handle_.get());
      return;
    }
    uv_poll_start(handle_.get(), events, [](uv_poll_t* poll, int status, int ready) {
      Handle<uv_poll_t, PollOwner>::with_owner(
          poll, [&](PollOwner& owner) { owner.on_poll(status, ready); });
    });
  }

  /// After a negative status: what it was waiting for. The next set() starts again.
  int restart() { return std::exchange(events_, 0); }

 private:
  Handle<uv_poll_t, PollOwner> handle_;
  int events_ = 0;
};

}  // namespace outrider::uv
