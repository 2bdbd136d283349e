// SPDX-License-Identifier: Apache-2.0
// Child processes, without libuv's uv_process_t: that one resets what the child is to inherit
// (ignored signals), and cannot tie the child's life to ours. A handle for SIGCHLD waits for each
// child by its id; the handle of a forgotten child stays with the loop until the child ends.
#pragma once

#include <optional>

#include <unistd.h>

#include "base/uv/state.h"

namespace outrider::uv {

class ChildOwner {
 public:
  /// Some child of this process has ended.
  virtual void on_child_signal() = 0;

 protected:
  ~ChildOwner() = default;
};
using ChildHandle = Handle<uv_signal_t, ChildOwner>;

/// A child without a Process object.
class Orphan final : public ChildOwner {
 public:
  Orphan(Loop::State& loop, ChildHandle handle, pid_t pid);
  void on_child_signal() override;

 private:
  Loop::State& loop_;
  ChildHandle handle_;
  pid_t pid_;
};

class ChildProcess final : public Process, private ChildOwner {
 public:
  ChildProcess(Loop::State& loop, Callback<void(ExitStatus)> on_exit)
      : loop_(loop), callback_(std::move(on_exit)) {}
  ~ChildProcess() override;
  /// An errno; 0: it runs.
  int start(const SpawnOptions& options);

  std::int64_t pid() const override { return pid_; }
  bool kill(int signal) override;

 private:
  void on_child_signal() override;

  Loop::State& loop_;
  Callback<void(ExitStatus)> callback_;
  pid_t pid_ = 0;
  bool running_ = false;
  ChildHandle handle_;
};

}  // namespace outrider::uv
