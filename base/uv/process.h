// SPDX-License-Identifier: Apache-2.0
// Children. One is reaped only as long as libuv knows its handle, so a child that is forgotten
// while it runs leaves the handle to the loop until it ends.
#pragma once

#include "base/uv/state.h"

namespace outrider::uv {

class ChildOwner {
 public:
  virtual void on_exit(ExitStatus status) = 0;

 protected:
  ~ChildOwner() = default;
};
using ChildHandle = Handle<uv_process_t, ChildOwner>;

/// A child without a Process object.
class Orphan final : public ChildOwner {
 public:
  Orphan(Loop::State& loop, ChildHandle handle);
  void on_exit(ExitStatus status) override;

 private:
  Loop::State& loop_;
  ChildHandle handle_;
};

class ChildProcess final : public Process, private ChildOwner {
 public:
  ChildProcess(Loop::State& loop, Callback<void(ExitStatus)> on_exit)
      : loop_(loop), callback_(std::move(on_exit)) {}
  ~ChildProcess() override;
  /// libuv's code.
  int start(const SpawnOptions& options);

  std::int64_t pid() const override { return pid_; }
  bool kill(int signal) override;

 private:
  void on_exit(ExitStatus status) override;

  Loop::State& loop_;
  Callback<void(ExitStatus)> callback_;
  std::int64_t pid_ = 0;
  bool running_ = false;
  ChildHandle handle_;
};

}  // namespace outrider::uv
