// SPDX-License-Identifier: Apache-2.0
// A simulated world that keeps the promises of base/net.h, base/time.h and the timer queue, so that
// a simulated day runs in milliseconds and equal seeds give equal runs.
//
//   sim::World world(7);                         // declare it before whatever lives in it
//   sim::Link& lan = world.link("lan");
//   sim::Host& box = world.host("box");
//   box.attach("eth0", lan, {"192.168.1.2/24", "fe80::2/64"});
//   Responder responder(box.env());              // a worker under test
//   world.advance(1s);                           // from event to event, never past a due timer
//   CHECK(lan.capture().size() == 3);            // what went over the wire
//   lan.quality.loss_percent = 30;               // and what may go wrong with it
//   box.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
//
// Where only one machine matters, `world.env()` is the Env of a host named "here" that has nothing
// but its loopback. Every host has its own clock, timers, random, log and network, so it can sleep
// alone. Order of one turn: due timers (host by host) ▸ what the wire delivers ▸ socket callbacks.
// At the end of the world nothing may be left open: ~World says what is, and aborts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace outrider::sim {

class Host;
class World;

/// Turns that one advance(), settle() or run_until() may take, and turns at one and the same
/// instant, before it throws std::runtime_error: something runs away.
inline constexpr std::size_t kTurnsMax = 2'000'000;
inline constexpr std::size_t kTurnsAtOneInstantMax = 20'000;
/// Datagrams that one link remembers; the oldest half goes when there are more.
inline constexpr std::size_t kCaptureMax = 65'536;
inline constexpr std::size_t kLogLinesMax = 65'536;
/// Bytes under way in one direction of a stream, unread ones included.
inline constexpr std::size_t kStreamWindowBytes = 256U << 10;
/// Bytes that wait in a UDP socket before datagrams are dropped, where UdpOptions does not say.
inline constexpr std::size_t kUdpReceiveBytes = 208U << 10;
/// Groups that one IPv4 socket may join, as Linux has it (igmp_max_memberships).
inline constexpr std::size_t kMembershipsMax = 20;

/// What a link does to what is sent over it. Streams feel delay only: TCP repairs the rest.
struct Quality {
  Duration delay = 200us;
  Duration jitter{};  // 0…jitter on top of the delay; reorders by itself
  unsigned loss_percent = 0;
  unsigned duplicate_percent = 0;
  unsigned reorder_percent = 0;  // chance of arriving reorder_by later
  Duration reorder_by = 2ms;
};

/// One datagram as it was put on a link, before loss. Addresses carry no scope.
struct WireDatagram {
  TimePoint at;
  std::string host;  // the sender; empty when injected
  Endpoint from;
  Endpoint to;
  std::vector<std::uint8_t> payload;
  int hop_limit = 0;
};

/// One Ethernet segment, or the loopback of one host.
class Link {
 public:
  Quality quality;

  Link(World& world, std::string name) : world_(world), name_(std::move(name)) {}
  const std::string& name() const { return name_; }

  /// The carrier of every interface on it.
  void set_up(bool up);
  bool up() const { return up_; }

  const std::vector<WireDatagram>& capture() const { return capture_; }
  void clear_capture() { capture_.clear(); }
  /// Decides about each datagram after it was captured: false drops it.
  void set_filter(std::function<bool(const WireDatagram&)> filter) { filter_ = std::move(filter); }
  /// As if a host on the link had sent this, whatever `from` claims.
  void inject(const Endpoint& from, const Endpoint& to, Bytes payload, int hop_limit = 255);

  /// Who has this unicast address on the link now. For tests/sim.
  Host* find(const IpAddress& address) const;

 private:
  friend class Host;
  struct Port {
    Host* host;
    std::uint32_t interface;
    bool operator==(const Port&) const = default;
  };
  void transmit(WireDatagram datagram, Port sender, bool routed);
  void carry(const Port& to, const std::shared_ptr<const WireDatagram>& datagram);

  World& world_;
  std::string name_;
  bool up_ = true;
  std::vector<Port> ports_;
  std::vector<WireDatagram> capture_;
  std::function<bool(const WireDatagram&)> filter_;
};

/// How the far end of a stream misbehaves, with or without a listener behind it.
struct Fault {
  enum class Kind : std::uint8_t {
    none,
    refuse,      // RST to every SYN
    black_hole,  // no answer at all
    silent,      // the kernel accepts, nobody reads or answers
  };
  Kind kind = Kind::none;
  Duration drip{};                         // not zero: one byte towards the client each
  std::optional<std::size_t> reset_after;  // RST once so many bytes went to the client
};

class CapturedLog final : public Log {
 public:
  explicit CapturedLog() { set_least(LogLevel::debug); }
  /// "warning check_refused check=web reason=…"
  const std::vector<std::string>& lines() const { return lines_; }
  std::size_t count(std::string_view event) const;
  /// The last line of that event; empty if there is none.
  std::string last(std::string_view event) const;
  void clear() { lines_.clear(); }

 private:
  void write(LogEvent event, Fields fields) override;
  std::vector<std::string> lines_;
};

/// One machine. Made by World::host(); starts with "lo" (index 1: 127.0.0.1/8, ::1/128).
class Host {
 public:
  Host(World& world, std::string name, std::uint64_t seed);
  ~Host();
  Host(const Host&) = delete;

  const std::string& name() const { return name_; }
  Env& env() { return env_; }
  CapturedLog& log() { return log_; }
  Link& loopback() { return loopback_; }
  TimePoint now() const;

  // Interfaces. Every change reaches watch_interfaces callbacks in the next turn.

  /// Returns the index. Link-local addresses get it as scope by themselves.
  std::uint32_t attach(const std::string& interface, Link& link,
                       const std::vector<std::string>& prefixes);
  void detach(const std::string& interface);
  void add_address(const std::string& interface, const std::string& prefix);
  void remove_address(const std::string& interface, const std::string& address);
  void set_up(const std::string& interface, bool up);
  /// For kind, bridge_port and the like. Not for index and up.
  void change(const std::string& interface, const std::function<void(Interface&)>& edit);
  /// Addresses beyond every prefix go out here and reach the host of the world that has them.
  void set_default_route(const std::string& interface);

  // Trouble.

  void set_fault(std::uint16_t tcp_port, Fault fault);
  void set_fault(const UnixPath& path, Fault fault);
  /// True (the default): ports below 1024 may be bound.
  void set_privileged(bool privileged);
  /// A socket file without a listener, as after a crash.
  void leave_dead_socket(const std::string& path);
  /// What a peer on a Unix socket learns about the processes of this host.
  void set_credentials(const PeerCredentials& credentials);
  /// Asleep, no timer runs, datagrams are lost, streams stall; the monotonic clock stands still
  /// and suspended() grows by that time at wake(), which watch_interfaces callbacks hear of.
  void sleep();
  /// Ends a sleep in which the clock went on: the process was stopped, not the machine.
  void go_on();
  void wake();
  /// Wall time jumps for this host alone; the monotonic clock does not notice.
  void step_wall(Duration by) { wall_step_ += by; }

  /// Open sockets, streams, listeners, connects, watches and pending timers, one a line.
  std::string leftovers() const;

  struct Kernel;  // tests/sim only
  Kernel& kernel() { return *kernel_; }

 private:
  friend class Link;
  friend class World;
  class HostClock final : public Clock {
   public:
    explicit HostClock(const Host& host) : host_(host) {}
    TimePoint now() const override { return host_.now(); }
    WallTime wall() const override;
    Duration suspended() const override { return host_.suspended_; }

   private:
    const Host& host_;
  };

  World& world_;
  std::string name_;
  Link loopback_;
  HostClock clock_;
  TimerQueue timers_;
  SeededRandom random_;
  CapturedLog log_;
  std::unique_ptr<Kernel> kernel_;
  Env env_;
  bool asleep_ = false;
  TimePoint asleep_since_;
  Duration suspended_{};
  Duration wall_step_{};
};

class World {
 public:
  explicit World(std::uint64_t seed = 1);
  ~World();
  World(const World&) = delete;

  /// Made on first use.
  Host& host(std::string_view name);
  Link& link(std::string_view name);
  /// Of the host "here".
  Env& env() { return host("here").env(); }

  TimePoint now() const { return now_; }
  WallTime wall() const;

  /// Lets `duration` pass, from event to event.
  void advance(Duration duration);
  /// Until nothing is on the wire and no timer is due; at most `most`. True: it came to rest.
  bool settle(Duration most = 10s);
  /// Until `done` says so after a turn; at most `most`. True: it did.
  bool run_until(const std::function<bool()>& done, Duration most);

  /// Of every host; empty when all is closed.
  std::string leftovers() const;

  // For tests/sim.
  void schedule(Duration delay, Callback<void()> event);
  SeededRandom& random() { return random_; }
  /// Who has this address on an interface that is up; the link-local ones of nobody.
  Host* owner_of(const IpAddress& address);

 private:
  std::optional<TimePoint> next_event() const;
  void turn();
  /// Steps until `stop` (checked between turns) or until the next event lies beyond `end`.
  bool step_until(TimePoint end, const std::function<bool()>& stop);

  std::uint64_t seed_;
  TimePoint now_;
  SeededRandom random_;
  std::uint64_t sequence_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, Callback<void()>> wire_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<std::unique_ptr<Host>> hosts_;
};

}  // namespace outrider::sim
