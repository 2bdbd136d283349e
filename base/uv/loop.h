// SPDX-License-Identifier: Apache-2.0
// The real world: one libuv loop that keeps the promises of base/net.h, base/time.h and of the
// timer queue. This folder is the only includer of uv.h.
//
// A turn: the clock is read once ▸ timers that are due run, or what is ready is delivered ▸ queued
// datagrams leave ▸ the loop sleeps until the next timer. One uv_timer serves the whole
// TimerQueue; when nothing is due and nothing arrives the loop does not wake.
//
//   loop.cc turns, timers, signals ▸ udp.h ▸ stream_poll.h, stream.cc, listener.cc ▸ netlink.cc
//   (interfaces) ▸ process.cc, signals.cc, file_watch.cc; handle.h owns libuv's handles, socket.h
//   the kernel's sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"

struct uv_loop_s;

namespace outrider::uv {

/// How a child ended.
struct ExitStatus {
  int code = 0;    // valid when signal == 0
  int signal = 0;  // that killed it
};

class Process {
 public:
  /// Destroying it forgets the child; it is not killed.
  virtual ~Process() = default;
  virtual std::int64_t pid() const = 0;
  /// False when it has ended already.
  virtual bool kill(int signal) = 0;
};

struct SpawnOptions {
  std::vector<std::string> arguments;    // [0] is the program, looked up in PATH
  std::vector<std::string> environment;  // "NAME=value", added to ours
  std::vector<std::string> without;      // names of our variables that it does not get
  /// It gets SIGTERM when this process ends, however that is.
  bool ends_with_us = false;
  /// A descriptor that becomes its standard output, and stays the caller's; -1: ours.
  int output = -1;
};

/// Why a child was not started.
struct SpawnError {
  enum class Kind : std::uint8_t { not_found, not_executable, other };
  Kind kind = Kind::other;
  std::string text;  // "no such file or directory"
};

/// Who sent a signal: the terminal sends it to every process in its foreground.
enum class SignalOrigin : std::uint8_t { process, terminal };

/// Keeps a signal back until it is watched; call it first thing, before the signal has a handler.
void hold_signal(int signal);
/// What was held back is delivered.
void release_signal(int signal);
/// Does what SIGTSTP does without a handler, and returns when the process is resumed. Where no
/// shell could resume it, the kernel does not stop it.
void suspend();
/// True if the parent made this process ignore the signal (nohup, a background job).
bool is_ignored(int signal);

/// From here on, descendants whose parent ends become children of this process.
void adopt_orphans();
/// Reaps adopted children that have ended, but not `other`, which has an owner.
void reap_adopted(std::int64_t other);
/// To a process that need not be a child; nothing happens when it is gone.
void send_signal(std::int64_t pid, int signal);

class Loop final {
 public:
  /// Its own uv loop.
  Loop();
  /// The same for a process that is not ours; null when the system has no descriptors left.
  static std::unique_ptr<Loop> open();
  /// On the loop of a host program, which runs it. Destroying this only starts to close our
  /// handles: the host must let its loop turn once more, until when_closed() calls, or have run it
  /// to its end. SIGPIPE is not ignored here; nothing of ours raises it.
  enum class Keeps : std::uint8_t { alive, nothing };
  /// `keeps`: whether our handles keep the host's loop running.
  explicit Loop(uv_loop_s* borrowed, Keeps keeps = Keeps::alive);
  /// Everything made from it must be destroyed before. Not from a callback of an own loop.
  ~Loop();
  Loop(const Loop&) = delete;

  Clock& clock();
  TimerQueue& timers();
  Network& network();

  /// Turns until stop() (own loops only). SIGPIPE is ignored from here on.
  void run();
  /// One turn; with `wait` it waits for an event, at most until the next timer. Signals stay as
  /// they are: for tests, and where the process is not ours.
  void turn(bool wait);
  /// Ends a turn that no event began: what a call from outside has made is sent, and timers count.
  void settle();
  /// An allocation failed in the middle of something, here or (give_up) in a call from outside:
  /// what runs on the loop is to be destroyed. The callback is called once, in the middle of that
  /// turn, and must not allocate.
  void give_up();
  bool gave_up() const;
  void when_given_up(Callback<void()> callback);
  /// Of own loops: becomes readable when a turn has something to do, besides timers.
  int backend_fd() const;
  /// Of own loops, after settle() or a turn: when the next turn is due (CLOCK_MONOTONIC), perhaps
  /// long ago; none: only when backend_fd() is readable.
  std::optional<TimePoint> next_turn() const;
  /// Makes run() return after this turn.
  void stop();
  uv_loop_s* handle();
  /// Calls after the destruction of a borrowed Loop, when its last handle is closed.
  void when_closed(Callback<void()> callback);

  /// Calls on every delivery of the signal, in a turn of the loop.
  std::unique_ptr<Pending> watch_signal(int signal, Callback<void()> callback);
  /// The same for several signals, with their origin. From here on they are blocked in this process
  /// and have no other effect; processes that it starts get them as usual.
  std::unique_ptr<Pending> take_signals(const std::vector<int>& signals,
                                        Callback<void(int, SignalOrigin)> callback);

  /// Calls after another thread has called the waker; several calls may become one.
  class Waker {
   public:
    virtual ~Waker() = default;
    virtual void wake() = 0;  // thread-safe
  };
  std::unique_ptr<Waker> make_waker(Callback<void()> callback);

  /// Calls after the file was written, replaced, created or removed; debounced to one per turn.
  std::unique_ptr<Pending> watch_file(const std::string& path, Callback<void()> callback);

  /// Standard input is inherited. `on_exit` is called once.
  Result<std::unique_ptr<Process>, SpawnError> spawn(const SpawnOptions& options,
                                                     Callback<void(ExitStatus)> on_exit);

  /// Handles on the loop that our users hold, or that are still closing; zero when nothing is left.
  std::size_t open_handles() const;

  struct State;

 private:
  explicit Loop(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace outrider::uv
