// SPDX-License-Identifier: Apache-2.0
// Simulated TCP and Unix streams. A connection is one object with two ends; what one end sends
// travels as segments in order, waits for the other's window, and is sent again while the path is
// down. Closing follows Linux: FIN, or RST where data was left unread.
#include <algorithm>

#include "base/assert.h"
#include "tests/sim/kernel.h"

namespace outrider::sim {

namespace {

constexpr int kSynRetriesMax = 6;  // tcp_syn_retries: 1 + 2 + … + 64 = 127 s in all
constexpr Duration kFirstRetransmit = 200ms;
constexpr Duration kRetransmitMax = 120s;
constexpr Duration kStreamGivesUp = 924s;  // tcp_retries2 = 15
constexpr Duration kNeighbourGivesUp = 3s;

struct Segment {
  enum class Kind : std::uint8_t { data, end, reset };
  Kind kind;
  std::vector<std::uint8_t> bytes;
};

}  // namespace

struct Connection : std::enable_shared_from_this<Connection> {
  struct End {
    Host* host = nullptr;
    StreamAddress local;
    Stream::Sink* sink = nullptr;
    bool open = true;  // not yet destroyed
    bool paused = false;
    bool linger_reset = false;
    // Receiving.
    std::vector<std::uint8_t> received;
    bool end_received = false;
    bool end_told = false;
    std::optional<NetError> broken;
    bool broken_told = false;
    bool pump_due = false;
    // Sending.
    std::vector<std::uint8_t> unsent;
    bool finishing = false;
    bool end_sent = false;
    bool tell_drained = false;
    std::size_t in_flight = 0;  // sent and not yet read by the peer
    std::size_t sent = 0;
    std::deque<std::pair<TimePoint, Segment>> wire;
    TimePoint last_arrival;
    Duration retransmit = kFirstRetransmit;
    Duration stalled{};
    bool wire_due = false;
    Duration gives_up = kStreamGivesUp;
    Duration keep_alive{};  // zero: a silent peer is not asked
    Duration unanswered{};
  };

  World* world = nullptr;
  Link* link = nullptr;  // null on one host
  Duration extra_delay{};
  Fault fault;
  End ends[2];  // 0 connected, 1 accepted

  Duration delay() const { return link == nullptr ? Duration{} : link->quality.delay; }
  bool usable() const {
    if (link == nullptr) return true;
    if (!link->up()) return false;
    return std::ranges::all_of(ends, [](const End& end) {
      return end.host->kernel().nic_of(std::get<Endpoint>(end.local).address) != nullptr;
    });
  }

  void on_host(int side, Duration delay, void (Connection::*step)(int)) {
    ends[side].host->kernel().schedule(
        delay, [self = shared_from_this(), side, step] { ((*self).*step)(side); });
  }

  Result<void, NetError> write(int side, Bytes data);
  void push(int side);
  void send(int side, Segment segment);
  void schedule_wire(int side, Duration delay);
  void deliver_wire(int side);
  void ask_later(int side);
  void ask(int side);
  void arrive(int side, Segment segment);
  void pump_soon(int side);
  void pump(int side);
  void pump_data(int side);
  void tell_drained(int side);
  void break_end(int side, NetError error);
  void close(int side);
};

namespace {

class SimStream final : public Stream {
 public:
  SimStream(std::shared_ptr<Connection> connection, int side)
      : connection_(std::move(connection)), side_(side) {
    streams().push_back(connection_);
  }
  ~SimStream() override {
    streams().erase(std::ranges::find(streams(), connection_));
    connection_->close(side_);
  }

  void start(Sink& sink) override {
    end().sink = &sink;
    connection_->pump_soon(side_);
  }
  Result<void, NetError> write(Bytes data) override { return connection_->write(side_, data); }
  std::size_t unsent_bytes() const override { return end().unsent.size(); }
  void finish() override {
    end().finishing = true;
    connection_->push(side_);
  }
  void reset_on_destroy() override { end().linger_reset = true; }
  void set_paused(bool paused) override {
    end().paused = paused;
    connection_->pump_soon(side_);
  }
  StreamAddress local() const override { return end().local; }
  StreamAddress peer() const override { return connection_->ends[1 - side_].local; }
  std::optional<PeerCredentials> peer_credentials() const override {
    if (!std::holds_alternative<UnixPath>(end().local)) return std::nullopt;
    return end().host->kernel().credentials;
  }

 private:
  Connection::End& end() const { return connection_->ends[side_]; }
  std::vector<std::shared_ptr<Connection>>& streams() { return end().host->kernel().streams; }

  std::shared_ptr<Connection> connection_;
  int side_;
};

class SimListener final : public Listener {
 public:
  SimListener(Host::Kernel& kernel, std::shared_ptr<ListenerCore> core)
      : kernel_(kernel), core_(std::move(core)) {}
  ~SimListener() override {
    core_->open = false;
    std::erase(kernel_.listeners, core_);
    for (const auto& connection : std::exchange(core_->backlog, {})) {
      connection->ends[1].linger_reset = true;
      connection->close(1);
    }
  }
  StreamAddress local() const override { return core_->local; }
  void set_paused(bool paused) override {
    core_->paused = paused;
    kernel_.schedule({}, [kernel = &kernel_, core = core_] { kernel->accept(core); });
  }

 private:
  Host::Kernel& kernel_;
  std::shared_ptr<ListenerCore> core_;
};

class SimConnect final : public Pending {
 public:
  SimConnect(Host::Kernel& kernel, std::shared_ptr<ConnectCore> core)
      : kernel_(kernel), core_(std::move(core)) {}
  ~SimConnect() override {
    core_->open = false;
    std::erase(kernel_.connects, core_);
  }

 private:
  Host::Kernel& kernel_;
  std::shared_ptr<ConnectCore> core_;
};

void finish_connect(Host::Kernel& kernel, const std::shared_ptr<ConnectCore>& core,
                    Result<std::unique_ptr<Stream>, NetError> result) {
  if (!core->open) return;
  core->open = false;
  std::erase(kernel.connects, core);
  ConnectCallback callback = std::move(core->callback);
  callback(std::move(result));
}

}  // namespace

// --- sending -----------------------------------------------------------------------------------

Result<void, NetError> Connection::write(int side, Bytes data) {
  End& end = ends[side];
  if (end.finishing || end.broken_told) return failure(NetError::closed);
  if (end.unsent.size() + data.size() > kStreamUnsentBytesMax) return failure(NetError::too_big);
  end.unsent.insert(end.unsent.end(), data.begin(), data.end());
  push(side);
  if (!end.unsent.empty()) end.tell_drained = true;
  return {};
}

void Connection::push(int side) {
  End& end = ends[side];
  if (end.broken) end.unsent.clear();
  const bool faulty = side == 1;
  std::size_t taken = 0;
  while (taken < end.unsent.size() && end.in_flight < kStreamWindowBytes) {
    std::size_t size = std::min(end.unsent.size() - taken, kStreamWindowBytes - end.in_flight);
    if (faulty && fault.drip > Duration{}) size = 1;
    if (faulty && fault.reset_after) {
      size = std::min(size, *fault.reset_after - std::min(*fault.reset_after, end.sent));
      if (size == 0) {
        // Later than the last byte: RST would discard what is unread.
        end.last_arrival = std::max(end.last_arrival, world->now() + delay()) + 1ms;
        send(1, {Segment::Kind::reset, {}});
        break_end(1, NetError::reset);
        return;
      }
    }
    const auto from = end.unsent.begin() + static_cast<std::ptrdiff_t>(taken);
    send(side, {Segment::Kind::data, {from, from + static_cast<std::ptrdiff_t>(size)}});
    end.in_flight += size;
    end.sent += size;
    taken += size;
  }
  end.unsent.erase(end.unsent.begin(), end.unsent.begin() + static_cast<std::ptrdiff_t>(taken));
  if (end.unsent.empty() && std::exchange(end.tell_drained, false))
    on_host(side, {}, &Connection::tell_drained);
  if (end.unsent.empty() && end.finishing && !end.end_sent && !end.broken) {
    end.end_sent = true;
    send(side, {Segment::Kind::end, {}});
  }
}

void Connection::tell_drained(int side) {
  End& end = ends[side];
  if (end.open && end.sink != nullptr && !end.broken && end.unsent.empty()) end.sink->on_drained();
}

void Connection::send(int side, Segment segment) {
  End& end = ends[side];
  TimePoint arrival = std::max(world->now() + delay(), end.last_arrival);
  if (side == 1 && fault.drip > Duration{} && segment.kind == Segment::Kind::data)
    arrival = std::max(world->now() + delay(), end.last_arrival + fault.drip);
  end.last_arrival = arrival;
  end.wire.emplace_back(arrival, std::move(segment));
  if (!end.wire_due) schedule_wire(side, arrival - world->now());
}

void Connection::schedule_wire(int side, Duration delay) {
  ends[side].wire_due = true;
  world->schedule(delay, [self = shared_from_this(), side] { self->deliver_wire(side); });
}

void Connection::deliver_wire(int side) {
  End& end = ends[side];
  end.wire_due = false;
  if (!usable()) {
    if (end.stalled >= end.gives_up) {
      end.wire.clear();
      break_end(side, NetError::timed_out);
      return;
    }
    const Duration wait = std::min(end.retransmit, end.gives_up - end.stalled);
    end.stalled += wait;
    schedule_wire(side, wait);
    end.retransmit = std::min(end.retransmit * 2, kRetransmitMax);
    return;
  }
  end.retransmit = kFirstRetransmit;
  end.stalled = {};
  while (!end.wire.empty() && end.wire.front().first <= world->now()) {
    Segment segment = std::move(end.wire.front().second);
    end.wire.pop_front();
    arrive(1 - side, std::move(segment));
  }
  if (!end.wire.empty() && !end.wire_due)
    schedule_wire(side, end.wire.front().first - world->now());
}

void Connection::ask_later(int side) {
  const End& end = ends[side];
  const bool asking = end.unanswered > Duration{};
  world->schedule(asking ? end.keep_alive / 3 : end.keep_alive,
                  [self = shared_from_this(), side] { self->ask(side); });
}

/// Every so often instead of after silence, which costs a break at most one period more.
void Connection::ask(int side) {
  End& end = ends[side];
  if (!end.open || end.broken) return;
  if (usable()) {
    end.unanswered = {};
  } else {
    end.unanswered += end.keep_alive / 3;
    if (end.unanswered > end.keep_alive) return break_end(side, NetError::timed_out);
  }
  ask_later(side);
}

// --- receiving -----------------------------------------------------------------------------------

void Connection::arrive(int side, Segment segment) {
  End& end = ends[side];
  if (end.broken) return;
  if (!end.open) {
    // RFC 9293 §3.6: data for a closed socket is answered with RST.
    if (segment.kind == Segment::Kind::data) send(side, {Segment::Kind::reset, {}});
    return;
  }
  switch (segment.kind) {
    case Segment::Kind::data:
      end.received.insert(end.received.end(), segment.bytes.begin(), segment.bytes.end());
      break;
    case Segment::Kind::end:
      end.end_received = true;
      break;
    case Segment::Kind::reset:
      break_end(side, NetError::reset);
      return;
  }
  pump_soon(side);
}

void Connection::break_end(int side, NetError error) {
  End& end = ends[side];
  if (end.broken) return;
  end.broken = error;
  end.received.clear();
  end.unsent.clear();
  pump_soon(side);
}

void Connection::pump_soon(int side) {
  if (!std::exchange(ends[side].pump_due, true)) on_host(side, {}, &Connection::pump);
}

void Connection::pump(int side) {
  End& end = ends[side];
  end.pump_due = false;
  if (!end.open || end.sink == nullptr) return;
  if (end.broken) {
    if (!std::exchange(end.broken_told, true)) end.sink->on_broken(*end.broken);
    return;
  }
  if (end.paused) return;
  if (!end.received.empty()) {
    pump_data(side);
  } else if (end.end_received && !end.end_told) {
    end.end_told = true;
    end.sink->on_end();
  }
}

void Connection::pump_data(int side) {
  constexpr std::size_t kReadBytesMax = 64U << 10;
  End& end = ends[side];
  const std::size_t size = std::min(end.received.size(), kReadBytesMax);
  const auto split = end.received.begin() + static_cast<std::ptrdiff_t>(size);
  const std::vector<std::uint8_t> chunk(end.received.begin(), split);
  end.received.erase(end.received.begin(), split);
  // The window update travels back.
  ends[1 - side].host->kernel().schedule(delay(), [self = shared_from_this(), side, size] {
    self->ends[1 - side].in_flight -= size;
    self->push(1 - side);
  });
  if (!end.received.empty() || end.end_received) pump_soon(side);
  end.sink->on_data(chunk);
}

void Connection::close(int side) {
  End& end = ends[side];
  end.open = false;
  end.sink = nullptr;
  if (end.broken) return;
  const bool done = end.end_sent && end.end_received;
  const bool tcp = std::holds_alternative<Endpoint>(end.local);
  if ((tcp && end.linger_reset && !done) || !end.received.empty())
    send(side, {Segment::Kind::reset, {}});
  else if (!end.end_sent)
    send(side, {Segment::Kind::end, {}});
  end.end_sent = true;
  end.unsent.clear();
  end.received.clear();
}

// --- connecting ----------------------------------------------------------------------------------

std::unique_ptr<Pending> Host::Kernel::connect(const ConnectOptions& options,
                                               ConnectCallback callback) {
  auto core = std::make_shared<ConnectCore>();
  core->host = &host;
  core->options = options;
  core->opening.assign(options.opening.begin(), options.opening.end());
  core->options.opening = {};
  core->callback = std::move(callback);
  connects.push_back(core);
  if (core->opening.size() > kStreamUnsentBytesMax) {
    fail_connect(core, {}, NetError::too_big);
    return std::make_unique<SimConnect>(*this, core);
  }
  schedule({}, [this, core] { try_connect(core, 0); });
  return std::make_unique<SimConnect>(*this, core);
}

void Host::Kernel::fail_connect(const std::shared_ptr<ConnectCore>& core, Duration delay,
                                NetError error) {
  schedule(delay, [this, core, error] { finish_connect(*this, core, failure(error)); });
}

Fault Host::Kernel::fault_of(const StreamAddress& to) const {
  StreamAddress key = to;
  if (auto* endpoint = std::get_if<Endpoint>(&key)) endpoint->address = {};
  for (const auto& [address, fault] : faults)
    if (address == key) return fault;
  return {};
}

namespace {

struct Path {
  Host* target = nullptr;  // null: the packets go nowhere
  Link* link = nullptr;
  StreamAddress from;
};

/// Nothing where no packet can even leave.
std::optional<Path> find_path(Host& host, World& world, const ConnectOptions& options) {
  Host::Kernel& kernel = host.kernel();
  Path path;
  if (std::holds_alternative<UnixPath>(options.to)) {
    path.target = &host;
    path.from = UnixPath{};
    return path;
  }
  const IpAddress& to = std::get<Endpoint>(options.to).address;
  const auto route = to.is_multicast() ? std::nullopt : kernel.route(to, 0);
  if (!route) return std::nullopt;
  const std::uint16_t port = kernel.pick_port([&](std::uint16_t candidate) {
    return std::ranges::any_of(kernel.streams, [&](const auto& stream) {
      const auto* local = std::get_if<Endpoint>(&stream->ends[0].local);
      return local != nullptr && local->port == candidate;
    });
  });
  path.from = Endpoint{options.from.value_or(route->source), port};
  if (route->local) {
    path.target = &host;
    return path;
  }
  path.link = route->nic->link;
  path.target = route->routed ? world.owner_of(to) : path.link->find(to);
  return path;
}

}  // namespace

void Host::Kernel::try_connect(const std::shared_ptr<ConnectCore>& core, int attempt) {
  if (!core->open) return;
  const auto path = find_path(host, world, core->options);
  if (!path) return fail_connect(core, {}, NetError::unreachable);
  if (core->options.from && nic_of(*core->options.from) == nullptr)
    return fail_connect(core, {}, NetError::not_available);
  if (path->target == nullptr) return fail_connect(core, kNeighbourGivesUp, NetError::unreachable);

  const Duration delay = path->link == nullptr ? Duration{} : path->link->quality.delay;
  Host::Kernel& there = path->target->kernel();
  const StreamAddress& to = core->options.to;
  const Fault fault = there.fault_of(to);
  const bool unix_path = std::holds_alternative<UnixPath>(to);
  const auto listener = there.find_listener(to, world.random().u64());
  if (fault.kind == Fault::Kind::refuse) return fail_connect(core, 2 * delay, NetError::refused);
  const bool silent = fault.kind == Fault::Kind::silent;
  if (!silent && fault.kind != Fault::Kind::black_hole && listener == nullptr) {
    const bool dead = !unix_path || std::ranges::find(dead_sockets, std::get<UnixPath>(to).path) !=
                                        dead_sockets.end();
    return fail_connect(core, 2 * delay, dead ? NetError::refused : NetError::not_available);
  }
  const bool full = !silent && listener != nullptr &&
                    listener->backlog.size() >= static_cast<std::size_t>(listener->options.backlog);
  if (fault.kind == Fault::Kind::black_hole || full || there.host.asleep_) {
    if (attempt > kSynRetriesMax) return fail_connect(core, {}, NetError::timed_out);
    schedule(Duration(1s) * (1 << attempt),
             [this, core, attempt] { try_connect(core, attempt + 1); });
    return;
  }

  auto connection = std::make_shared<Connection>();
  connection->world = &world;
  connection->link = path->link;
  connection->fault = fault;
  connection->ends[0].host = &host;
  connection->ends[0].local = path->from;
  if (core->options.unacknowledged_max > Duration{})
    connection->ends[0].gives_up = core->options.unacknowledged_max;
  connection->ends[0].keep_alive = core->options.keep_alive;
  connection->ends[1].host = path->target;
  connection->ends[1].local = to;
  if (!silent) {
    listener->backlog.push_back(connection);
    there.schedule(3 * delay, [&there, listener] { there.accept(listener); });
  }
  schedule(2 * delay, [this, core, connection] {
    if (!core->open) {
      connection->ends[0].linger_reset = true;
      connection->close(0);
      return;
    }
    auto stream = std::make_unique<SimStream>(connection, 0);
    if (core->options.keep_alive > Duration{}) connection->ask_later(0);
    if (!core->opening.empty()) {
      const auto written = stream->write(core->opening);
      OUTRIDER_ASSERT(written);
    }
    finish_connect(*this, core, std::move(stream));
  });
}

// --- listening -----------------------------------------------------------------------------------

bool Host::Kernel::tcp_taken(const Endpoint& local, bool reuse_port) const {
  return std::ranges::any_of(listeners, [&](const auto& other) {
    const auto* has = std::get_if<Endpoint>(&other->local);
    if (has == nullptr || has->port != local.port) return false;
    if (has->address.family() != local.address.family()) return false;
    if (has->address != local.address && !has->address.is_any() && !local.address.is_any())
      return false;
    return !(reuse_port && other->options.reuse_port);
  });
}

Result<std::unique_ptr<Listener>, NetError> Host::Kernel::listen(const ListenOptions& options,
                                                                 Listener::Sink& sink) {
  StreamAddress local = options.on;
  if (auto* endpoint = std::get_if<Endpoint>(&local)) {
    if (!endpoint->address.is_any() && nic_of(endpoint->address) == nullptr)
      return failure(NetError::not_available);
    if (endpoint->port != 0 && endpoint->port < 1'024 && !privileged)
      return failure(NetError::denied);
    if (endpoint->port == 0)
      endpoint->port = pick_port([&](std::uint16_t port) {
        return tcp_taken({endpoint->address, port}, false);
      });
    if (tcp_taken(*endpoint, options.reuse_port)) return failure(NetError::in_use);
  } else {
    const auto taken = [&](const auto& other) { return other->local == local; };
    if (std::ranges::any_of(listeners, taken)) return failure(NetError::in_use);
    std::erase(dead_sockets, std::get<UnixPath>(local).path);
  }
  auto core = std::make_shared<ListenerCore>();
  core->host = &host;
  core->options = options;
  core->local = local;
  core->sink = &sink;
  listeners.push_back(core);
  return std::make_unique<SimListener>(*this, core);
}

std::shared_ptr<ListenerCore> Host::Kernel::find_listener(const StreamAddress& to,
                                                          std::uint64_t flow) {
  std::vector<std::shared_ptr<ListenerCore>> exact;
  std::vector<std::shared_ptr<ListenerCore>> wildcard;
  for (const auto& core : listeners) {
    if (core->local == to) exact.push_back(core);
    const auto* wanted = std::get_if<Endpoint>(&to);
    const auto* has = std::get_if<Endpoint>(&core->local);
    if (wanted == nullptr || has == nullptr || !has->address.is_any()) continue;
    if (has->port == wanted->port && has->address.family() == wanted->address.family())
      wildcard.push_back(core);
  }
  const auto& best = exact.empty() ? wildcard : exact;
  return best.empty() ? nullptr : best[flow % best.size()];
}

void Host::Kernel::accept(const std::shared_ptr<ListenerCore>& core) {
  if (!core->open || core->paused || core->backlog.empty()) return;
  const std::shared_ptr<Connection> connection = core->backlog.front();
  core->backlog.pop_front();
  if (!core->backlog.empty()) schedule({}, [this, core] { accept(core); });
  core->sink->on_accept(std::make_unique<SimStream>(connection, 1));
}

}  // namespace outrider::sim
