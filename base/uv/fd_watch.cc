// SPDX-License-Identifier: Apache-2.0
// Descriptors that other libraries own (c-ares, Avahi, curl).
#include "base/uv/poll.h"
#include "base/uv/state.h"

namespace outrider::uv {
namespace {

class PolledFd final : public FdWatch, private PollOwner {
 public:
  explicit PolledFd(Callback<void(FdEvents)> callback) : callback_(std::move(callback)) {}

  Result<void, NetError> start(Core& core, int fd, FdEvents interest) {
    const auto opened = poll_.open(core, fd, *this);
    if (opened) set(interest);
    return opened;
  }

  void set(FdEvents interest) override {
    interest_ = interest;
    poll_.set((interest.readable ? UV_READABLE : 0) | (interest.writable ? UV_WRITABLE : 0));
  }

 private:
  void on_poll(int status, int events) override {
    FdEvents ready{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0};
    if (status < 0) {
      // An error counts as readiness, whatever is waited for: the owner learns of it by its read.
      poll_.restart();
      ready = {true, true};
      set(interest_);
    }
    call_member(life_, callback_, ready);
  }

  Callback<void(FdEvents)> callback_;
  FdEvents interest_;
  Life life_;
  Poll poll_;
};

}  // namespace

Result<std::unique_ptr<FdWatch>, NetError> LoopNetwork::watch_fd(
    int fd, FdEvents interest, Callback<void(FdEvents)> callback) {
  auto watch = std::make_unique<PolledFd>(std::move(callback));
  if (const auto started = watch->start(*loop_.core, fd, interest); !started)
    return failure(started.error());
  return watch;
}

}  // namespace outrider::uv
