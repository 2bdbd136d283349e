// SPDX-License-Identifier: Apache-2.0
// Child processes. libuv reaps a child only while it knows the handle, so the handle of a forgotten
// child stays with the loop until the child ends.
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
