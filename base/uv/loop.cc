// SPDX-License-Identifier: Apache-2.0
#include "base/uv/loop.h"

#include <csignal>
#include <ctime>
#include <vector>

#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/uv/netlink.h"
#include "base/uv/process.h"
#include "base/uv/state.h"
#include "base/uv/udp.h"

namespace outrider::uv {
namespace {

Duration read_clock(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

class SignalWatch final : public Pending {
 public:
  explicit SignalWatch(Callback<void()> callback) : callback_(std::move(callback)) {}

  bool start(Core& core, int signal) {
    const auto init = [](uv_loop_t* uv, uv_signal_t* handle) { return uv_signal_init(uv, handle); };
    if (handle_.open(core, *this, init) < 0) return false;
    return uv_signal_start(
               handle_.get(),
               [](uv_signal_t* handle, int) {
                 Handle<uv_signal_t, SignalWatch>::with_owner(
                     handle, [](SignalWatch& watch) { watch.call(); });
               },
               signal) == 0;
  }

 private:
  void call() { call_member(life_, callback_); }

  Callback<void()> callback_;
  Life life_;
  Handle<uv_signal_t, SignalWatch> handle_;
};

class AsyncWaker final : public Loop::Waker {
 public:
  explicit AsyncWaker(Callback<void()> callback) : callback_(std::move(callback)) {}

  bool start(Core& core) {
    return handle_.open(core, *this, [](uv_loop_t* uv, uv_async_t* handle) {
      return uv_async_init(uv, handle, [](uv_async_t* async) {
        Handle<uv_async_t, AsyncWaker>::with_owner(async, [](AsyncWaker& waker) { waker.call(); });
      });
    }) == 0;
  }

  void wake() override { uv_async_send(handle_.get()); }

 private:
  void call() { call_member(life_, callback_); }

  Callback<void()> callback_;
  Life life_;
  Handle<uv_async_t, AsyncWaker> handle_;
};

/// Of one loop: epoll, signals, wake-ups, and what libuv keeps in reserve.
constexpr std::size_t kLoopDescriptors = 8;

bool has_descriptors(std::size_t count) {
  std::vector<int> opened;
  opened.reserve(count);
  while (opened.size() < count) {
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    if (fd < 0) break;
    opened.push_back(fd);
  }
  for (const int fd : opened)
    ::close(fd);
  return opened.size() == count;
}

}  // namespace

TimePoint now_outside() {
  return TimePoint(read_clock(CLOCK_MONOTONIC));
}

// --- LoopClock -------------------------------------------------------------------------------

TimePoint LoopClock::now() const {
  if (!now_) now_ = TimePoint(read_clock(CLOCK_MONOTONIC));
  return *now_;
}

WallTime LoopClock::wall() const {
  return WallTime(read_clock(CLOCK_REALTIME));
}

// The two clocks cannot be read at one moment, so the difference shivers; it counts as grown only
// beyond any shiver, and only when nothing came between the readings.
Duration LoopClock::suspended() const {
  constexpr Duration kShiver = std::chrono::milliseconds(20);
  constexpr int kAttempts = 8;
  for (int i = 0; i < kAttempts; ++i) {
    const Duration before = read_clock(CLOCK_MONOTONIC);
    const Duration boot = read_clock(CLOCK_BOOTTIME);
    if (read_clock(CLOCK_MONOTONIC) - before > kShiver / 2) continue;
    if (boot - before > suspended_ + kShiver) suspended_ = boot - before;
    break;
  }
  return suspended_;
}

// --- Loop::State -----------------------------------------------------------------------------

Loop::State::State(uv_loop_t* borrowed, Keeps keeps, int& code)
    : own(borrowed == nullptr), core(new Core) {
  if (own) reserve.refill();
  code = own ? uv_loop_init(&own_loop) : 0;
  if (code < 0) return;
  core->loop = own ? &own_loop : borrowed;
  core->keeps_alive = keeps == Keeps::alive;
}

void Loop::State::open_handles() {
  prepare.open(*core, *this,
               [](uv_loop_t* uv, uv_prepare_t* handle) { return uv_prepare_init(uv, handle); });
  timer.open(*core, *this,
             [](uv_loop_t* uv, uv_timer_t* handle) { return uv_timer_init(uv, handle); });
  // libuv runs it right before it sleeps: the end of a turn. Being active it also keeps an own
  // loop turning when there is nothing else to wait for.
  uv_prepare_start(prepare.get(), [](uv_prepare_t* handle) {
    Handle<uv_prepare_t, State>::with_owner(handle, [](State& state) { state.end_turn(); });
  });
}

Loop::State::~State() {
  OUTRIDER_ASSERT(unsent.empty() && !interface_monitor);
  orphans.clear();
  stream_polls.close();
  prepare.close();
  timer.close();
  if (own && core->loop != nullptr) {
    // Nothing but closing handles is left, so this returns.
    while (uv_run(&own_loop, UV_RUN_DEFAULT) != 0) {
    }
    const int code = uv_loop_close(&own_loop);
    OUTRIDER_ASSERT(code == 0);
  }
  core->abandoned = true;
  core->abandon_if_done();
}

void Loop::State::end_turn() {
  while (!unsent.empty()) {
    UdpPort* port = unsent.back();
    unsent.pop_back();
    port->turn_ends();
  }
  if (own) reserve.refill();
  arm_timer();
  clock.turn_ends();
  budget.turn_ends();
}

void Loop::State::arm_timer() {
  const std::optional<TimePoint> due = timers.next_due();
  if (due == armed) return;
  armed = due;
  if (!due) {
    uv_timer_stop(timer.get());
    return;
  }
  // libuv counts whole milliseconds of the same clock. Rounding up means never waking too early,
  // and counting from uv_now() makes the sum independent of how old that is. A timer
  // that is already due, such as one for the next turn, must not be rounded up to a sleep.
  const auto due_ms = std::chrono::ceil<std::chrono::milliseconds>(due->time_since_epoch()).count();
  const auto now_ms = static_cast<std::int64_t>(uv_now(core->loop));
  const std::int64_t wait = *due <= clock.now() ? 0 : std::max<std::int64_t>(due_ms - now_ms, 0);
  const auto wait_ms = static_cast<std::uint64_t>(wait);
  uv_timer_start(
      timer.get(),
      [](uv_timer_t* handle) {
        Handle<uv_timer_t, State>::with_owner(handle, [](State& state) {
          state.armed.reset();
          state.clock.turn_ends();
          TurnBudget of_timers;
          of_timers.begin();
          state.timers.run_due(state.clock.now(), [&] { return of_timers.is_spent(); });
        });
      },
      wait_ms, 0);
}

MutableBytes Loop::State::read_buffer() {
  if (!read_bytes) read_bytes = std::make_unique_for_overwrite<std::uint8_t[]>(kStreamReadBytes);
  return {read_bytes.get(), kStreamReadBytes};
}

// --- Loop ------------------------------------------------------------------------------------

Loop::Loop(std::unique_ptr<State> state) : state_(std::move(state)) {}
Loop::Loop() {
  int code = 0;
  state_ = std::make_unique<State>(nullptr, Keeps::alive, code);
  OUTRIDER_ASSERT(code == 0);
  state_->open_handles();
}
Loop::Loop(uv_loop_s* borrowed, Keeps keeps) {
  OUTRIDER_ASSERT(borrowed != nullptr);
  int code = 0;
  state_ = std::make_unique<State>(borrowed, keeps, code);
  state_->open_handles();
}
std::unique_ptr<Loop> Loop::open() {
  // The first loop of a process opens a pipe for signals, without which libuv aborts the program.
  if (!has_descriptors(kLoopDescriptors)) return nullptr;
  int code = 0;
  auto state = std::make_unique<State>(nullptr, Keeps::alive, code);
  if (code < 0) return nullptr;
  state->open_handles();
  return std::unique_ptr<Loop>(new Loop(std::move(state)));
}
Loop::~Loop() = default;

Clock& Loop::clock() {
  return state_->clock;
}

TimerQueue& Loop::timers() {
  return state_->timers;
}

Network& Loop::network() {
  return state_->network;
}

void Loop::run() {
  OUTRIDER_ASSERT(state_->own);
  std::signal(SIGPIPE, SIG_IGN);
  // The process is ours, and forks only to execute a program, which inherits none of these.
  state_->stream_polls.assume_no_duplicates();
  uv_run(&state_->own_loop, UV_RUN_DEFAULT);
  state_->end_turn();
}

void Loop::turn(bool wait) {
  OUTRIDER_ASSERT(state_->own);
  uv_loop_t* loop = &state_->own_loop;
  // UV_RUN_ONCE runs what is due first and then waits for something more.
  uv_update_time(loop);
  const bool due = uv_backend_timeout(loop) == 0;
  uv_run(loop, wait && !due ? UV_RUN_ONCE : UV_RUN_NOWAIT);
  run_guarded(*state_->core, [this] { state_->end_turn(); });
}

void Loop::settle() {
  state_->end_turn();
}

int Loop::backend_fd() const {
  return uv_backend_fd(&state_->own_loop);
}

namespace {

/// Whether descriptors are watched that epoll does not have yet: libuv adds them before it waits.
bool has_unwatched(const uv_loop_t& loop) {
#if UV_VERSION_HEX < 0x012f00
  const void* const next = loop.watcher_queue[0];
#else
  const void* const next = loop.watcher_queue.next;
#endif
  return next != &loop.watcher_queue;
}

}  // namespace

std::optional<TimePoint> Loop::next_turn() const {
  if (has_unwatched(state_->own_loop)) return TimePoint{};
  const int wait = uv_backend_timeout(&state_->own_loop);
  if (wait < 0) return std::nullopt;
  // Counted from libuv's time, which is CLOCK_MONOTONIC in milliseconds.
  const auto now = std::chrono::milliseconds(uv_now(&state_->own_loop));
  return TimePoint(now + std::chrono::milliseconds(wait));
}

void Loop::give_up() {
  state_->core->give_up();
}

bool Loop::gave_up() const {
  return state_->core->gave_up;
}

void Loop::when_given_up(Callback<void()> callback) {
  state_->core->on_give_up = std::move(callback);
}

void Loop::stop() {
  OUTRIDER_ASSERT(state_->own);
  uv_stop(&state_->own_loop);
}

uv_loop_s* Loop::handle() {
  return state_->core->loop;
}

void Loop::when_closed(Callback<void()> callback) {
  state_->core->closed = std::move(callback);
}

std::unique_ptr<Pending> Loop::watch_signal(int signal, Callback<void()> callback) {
  auto watch = std::make_unique<SignalWatch>(std::move(callback));
  const bool started = watch->start(*state_->core, signal);
  OUTRIDER_ASSERT(started);
  return watch;
}

std::unique_ptr<Loop::Waker> Loop::make_waker(Callback<void()> callback) {
  auto waker = std::make_unique<AsyncWaker>(std::move(callback));
  const bool started = waker->start(*state_->core);
  OUTRIDER_ASSERT(started);
  return waker;
}

std::size_t Loop::open_handles() const {
  return state_->core->open - kOwnHandles - state_->stream_polls.own_handles();
}

}  // namespace outrider::uv
