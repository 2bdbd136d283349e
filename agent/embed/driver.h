// SPDX-License-Identifier: Apache-2.0
// Who turns the loop of an agent, and on which threads its functions may be called.
//
//   thread   a thread of ours turns the loop; other threads post jobs and wait for them
//   fd       the program calls process()
//   loop     the program's own libuv loop
//
// One mutex guards what threads share: the jobs, the answers that calls wait for, the documents of
// watchers. `changed` is notified after each change of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <pthread.h>

#include "base/callback.h"
#include "base/uv/loop.h"

struct uv_loop_s;

namespace outrider::embed {

enum class Mode : std::uint8_t { thread, fd, loop };

class Driver {
 public:
  explicit Driver(Mode mode);
  Driver(const Driver&) = delete;

  Mode mode() const { return mode_; }
  /// The calling process is a child of the one that made this.
  bool is_forked() const;
  /// Whether callbacks come on the calling thread.
  bool is_on_thread() const;

  std::mutex mutex;
  std::condition_variable changed;

  /// Runs `main` on a thread of its own, with all signals blocked. False: there is none to be had.
  bool start_thread(Callback<void()> main);
  /// Called by `main` when it has its loop. Jobs run in turns of it.
  void attach(uv::Loop& loop);
  /// Turns the loop until stop().
  void turn_until_stopped();
  /// Ends turn_until_stopped(), after the callback that calls this.
  void stop() { stopped_ = true; }
  /// On the thread of the loop: jobs come no more.
  void detach();
  /// From another thread: waits for the end of the thread.
  void join();
  /// From its own thread: it ends alone.
  void let_go();

  using Job = Callback<void()>;
  /// For the thread of the loop. False: it takes no jobs any more. Thread-safe.
  bool post(Job job);
  /// In a later turn, outside of every callback. `last` may destroy everything; this needs no
  /// memory. Thread-safe.
  void call_last(Job last);

  /// Waits with `lock` held until `done()`; false: not before `until`. Without one: without end.
  template <class Done>
  bool wait(std::unique_lock<std::mutex>& lock, std::optional<Duration> most, Done done) {
    if (most) return changed.wait_for(lock, *most, done);
    changed.wait(lock, done);
    return true;
  }

 private:
  void run_jobs();

  const Mode mode_;
  const int pid_;
  pthread_t owner_;  // the thread of the callbacks
  pthread_t thread_{};
  Callback<void()> main_;
  uv::Loop* loop_ = nullptr;
  bool stopped_ = false;
  std::unique_ptr<uv::Loop::Waker> waker_;
  std::vector<Job> jobs_;
  Job last_;
};

}  // namespace outrider::embed
