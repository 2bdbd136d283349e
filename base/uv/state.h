// SPDX-License-Identifier: Apache-2.0
// What the parts of this room share behind Loop.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <uv.h>

#include "base/uv/handle.h"
#include "base/uv/loop.h"
#include "base/uv/reserve.h"
#include "base/uv/stream_poll.h"
#include "base/uv/turn_budget.h"

namespace outrider::uv {

class UdpPort;
class UdpArea;
class InterfaceMonitor;
class Orphan;

/// Stands still from the first look at it in a turn until the turn ends.
class LoopClock final : public Clock {
 public:
  TimePoint now() const override;
  WallTime wall() const override;
  Duration suspended() const override;
  /// The next look reads the clock again.
  void turn_ends() { now_.reset(); }

 private:
  mutable std::optional<TimePoint> now_;
  mutable Duration suspended_{};
};

class LoopNetwork final : public Network {
 public:
  explicit LoopNetwork(Loop::State& loop) : loop_(loop) {}

  Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions& options,
                                                        UdpSocket::Sink& sink) override;
  std::unique_ptr<Pending> connect(const ConnectOptions& options,
                                   ConnectCallback callback) override;
  Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions& options,
                                                     Listener::Sink& sink) override;
  Result<std::unique_ptr<FdWatch>, NetError> watch_fd(int fd, FdEvents interest,
                                                      Callback<void(FdEvents)> callback) override;
  std::vector<Interface> interfaces() override;
  std::unique_ptr<Pending> watch_interfaces(Callback<void()> callback) override;

 private:
  Loop::State& loop_;
};

/// Handles that the loop has for itself: prepare and timer.
inline constexpr std::size_t kOwnHandles = 2;
/// Bytes that one read of a stream takes at most.
inline constexpr std::size_t kStreamReadBytes = 64 * 1024;

struct Loop::State {
  /// `code` gets libuv's error; with a negative one, nothing but destruction is allowed.
  State(uv_loop_t* borrowed, Keeps keeps, int& code);
  /// Once, before anything else.
  void open_handles();
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// Sends what is queued, arms the one uv_timer and lets the clock advance.
  void end_turn();
  void arm_timer();
  MutableBytes read_buffer();

  bool own;
  DescriptorReserve reserve;  // of own loops
  uv_loop_t own_loop{};
  Core* core;
  LoopClock clock;
  TurnBudget budget;
  TimerQueue timers;
  LoopNetwork network{*this};

  Handle<uv_prepare_t, State> prepare;
  Handle<uv_timer_t, State> timer;
  std::optional<TimePoint> armed;

  std::unique_ptr<UdpArea> udp_area;  // shared by all sockets: one receives at a time
  std::vector<UdpPort*> unsent;       // sockets with datagrams that wait for the end of the turn
  StreamPolls stream_polls{*core};
  std::unique_ptr<std::uint8_t[]> read_bytes;
  std::unique_ptr<InterfaceMonitor> interface_monitor;  // while there are watchers
  std::vector<std::unique_ptr<Orphan>> orphans;         // forgotten children, until they end
};

}  // namespace outrider::uv
