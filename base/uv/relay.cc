// SPDX-License-Identifier: Apache-2.0
#include "base/uv/relay.h"

#include <array>
#include <cerrno>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/uv/stream.h"

namespace outrider::uv {
namespace {

/// A read that brings less than this shows that bytes come in small pieces again.
constexpr std::size_t kSmallBytes = 4'096;

struct Pipe {
  FileDescriptor in, out;  // written to, read from
};

class Pipes {
 public:
  explicit Pipes(std::size_t max) : max_(max) {}
  std::optional<Pipe> take() {
    if (used_ >= max_) return std::nullopt;
    if (!kept_.empty()) {
      Pipe pipe = std::move(kept_.back());
      kept_.pop_back();
      ++used_;
      return pipe;
    }
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return std::nullopt;
    Pipe pipe{FileDescriptor(ends[1]), FileDescriptor(ends[0])};
    // What the kernel refuses leaves the pipe as it is, smaller.
    static_cast<void>(::fcntl(pipe.in.get(), F_SETPIPE_SZ, kPipeBytes));
    ++used_;
    return pipe;
  }
  void give_back(Pipe pipe) {
    --used_;
    if (kept_.size() < kPipesKept) kept_.push_back(std::move(pipe));
  }
  /// One that is not empty.
  void forget() { --used_; }

 private:
  const std::size_t max_;
  std::size_t used_ = 0;
  std::vector<Pipe> kept_;
};

class SpliceRelay final : public Relay {
 public:
  SpliceRelay(Pipes& pipes, RelayEnd a, RelayEnd b, Sink& sink)
      : pipes_(pipes), sink_(sink), a_(*this), b_(*this) {
    take(a_, std::move(a), b_);
    take(b_, std::move(b), a_);
    a_.poll.set_owner(a_);
    b_.poll.set_owner(b_);
    if (!begin(a_, a.read, b_) || !begin(b_, b.read, a_)) broken_ = true;
    update_polls();
    if (broken_ || is_done()) end_later();
  }
  ~SpliceRelay() override {
    for (Side* side : {&a_, &b_}) {
      if (side->pipe) pipes_.forget();
      if (!is_done()) reset_on_close(side->fd.get());
    }
  }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  /// A socket, and what has been read from it and waits for the other one.
  struct Side final : StreamPoll::Owner {
    explicit Side(SpliceRelay& owner) : relay(owner) {}
    void on_ready(std::uint32_t events) override { relay.on_ready(*this, events); }
    bool has_waiting() const { return held_at < held.size() || piped > 0; }

    SpliceRelay& relay;
    FileDescriptor fd;
    StreamPoll poll;
    bool internet = false;
    int writes = 0;       // counted to two
    bool ended = false;   // nothing more comes from it
    bool passed = false;  // and the other one was told
    bool bulk = false;    // it sends much at a time
    std::vector<std::uint8_t> held;
    std::size_t held_at = 0;
    std::optional<Pipe> pipe;
    std::size_t piped = 0;
  };
  enum class Moved : std::uint8_t { some, nothing, broken };

  void take(Side& side, RelayEnd end, Side& other) {
    // Every stream of a LoopNetwork is one.
    auto& stream = static_cast<SocketStream&>(*end.stream);
    SocketStream::Parts parts = stream.release();
    loop_ = &parts.loop;
    side.fd = std::move(parts.fd);
    side.poll = std::move(parts.poll);
    side.internet = parts.internet;
    side.ended = end.ended || parts.ended;
    // What the stream has not sent yet came from the other side.
    other.held = std::move(parts.unsent);
    if (parts.finishing) other.ended = true;
    if (parts.broken) broken_ = true;
    side.writes = parts.writes;
  }

  /// What was read before. If the end has come as well, both leave in one segment: an answer that
  /// ends its connection is often all that there is. False: one of the sides broke.
  bool begin(Side& from, Bytes read, Side& to) {
    if (read.empty() || broken_) return true;
    bytes_ += read.size();
    if (from.has_waiting()) {
      from.held.insert(from.held.end(), read.begin(), read.end());
      return true;
    }
    const auto sent = send(to, read, from.ended ? MSG_MORE : 0);
    if (!sent) return false;
    from.held.assign(read.begin() + static_cast<std::ptrdiff_t>(*sent), read.end());
    if (from.ended && !from.has_waiting()) pass_end(from, to);
    return true;
  }

  Side& other(Side& side) { return &side == &a_ ? b_ : a_; }
  bool is_done() const { return a_.passed && b_.passed; }

  void on_ready(Side& side, std::uint32_t events) {
    bool whole = true;
    if ((events & EPOLLOUT) != 0) whole = move(other(side), side);
    if (whole && (events & EPOLLIN) != 0)
      whole = move(side, other(side), (events & EPOLLRDHUP) != 0);
    if (whole && !is_done()) return update_polls();
    broken_ = !whole;
    a_.poll.set(0);
    b_.poll.set(0);
    if (!report_.pending()) sink_.on_relay_end();
  }

  void update_polls() {
    for (Side* side : {&a_, &b_}) {
      const bool reads = !side->ended && !side->has_waiting();
      const Side& from = other(*side);
      const bool writes = from.has_waiting() || (from.ended && !from.passed);
      side->poll.set((reads ? std::uint32_t{EPOLLIN} : 0) | (writes ? std::uint32_t{EPOLLOUT} : 0));
    }
  }

  /// From one socket to the other as much as both permit, within bounds. `finished`: the peer of
  /// `from` has finished. False: one of them broke.
  bool move(Side& from, Side& to, bool finished = false) {
    for (int portion = 0; portion < kRelayPortionsMax; ++portion) {
      if (!flush(from, to)) return false;
      if (from.has_waiting()) return true;
      if (from.ended) {
        pass_end(from, to);
        return true;
      }
      const bool spliced = from.bulk && open_pipe(from);
      const Moved moved = spliced ? splice_in(from) : copy(from, to, finished);
      if (moved == Moved::broken) return false;
      if (moved == Moved::nothing) break;
    }
    // What came last goes on at once.
    if (!flush(from, to)) return false;
    if (from.ended && !from.has_waiting()) pass_end(from, to);
    return true;
  }

  bool open_pipe(Side& from) {
    if (!from.pipe) from.pipe = pipes_.take();
    return from.pipe.has_value();
  }
  void close_pipe(Side& from) {
    if (from.pipe) pipes_.give_back(std::move(*from.pipe));
    from.pipe.reset();
  }

  void pass_end(Side& from, Side& to) {
    if (std::exchange(from.passed, true)) return;
    close_pipe(from);
    from.held = {};
    // Closing sends the end, too, and that comes next if this was the second one. Fails only after
    // a break, which the other direction reports.
    if (!is_done()) static_cast<void>(::shutdown(to.fd.get(), SHUT_WR));
  }

  /// Nagle's algorithm holds back what follows unacknowledged bytes, and so no first write. Most
  /// connections have no other.
  void undelay(Side& to) {
    if (to.writes == 2 || ++to.writes < 2 || !to.internet) return;
    set_option(to.fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  }

  /// What waits, to the other socket. False: it broke.
  bool flush(Side& from, Side& to) {
    if (from.held_at < from.held.size()) {
      const auto sent = send(to, Bytes(from.held).subspan(from.held_at));
      if (!sent) return false;
      from.held_at += *sent;
      if (from.held_at < from.held.size()) return true;
      from.held = {};
      from.held_at = 0;
    }
    if (from.piped > 0) undelay(to);
    while (from.piped > 0) {
      const ssize_t sent = ::splice(from.pipe->out.get(), nullptr, to.fd.get(), nullptr, from.piped,
                                    SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return errno == EAGAIN;
      from.piped -= static_cast<std::size_t>(sent);
    }
    if (from.pipe) close_pipe(from);
    return true;
  }

  std::optional<std::size_t> send(Side& to, Bytes data, int flags = 0) {
    undelay(to);
    ssize_t sent;
    do {
      sent = ::send(to.fd.get(), data.data(), data.size(), MSG_NOSIGNAL | flags);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == ENOBUFS) return 0;
    return std::nullopt;
  }

  Moved splice_in(Side& from) {
    const ssize_t got = ::splice(from.fd.get(), nullptr, from.pipe->in.get(), nullptr, kPipeBytes,
                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? Moved::nothing : Moved::broken;
    from.ended = got == 0;
    from.piped = static_cast<std::size_t>(got);
    bytes_ += from.piped;
    from.bulk = from.piped >= kSmallBytes;
    return Moved::some;
  }

  Moved copy(Side& from, Side& to, bool finished) {
    const MutableBytes buffer = loop_->read_buffer();
    const ssize_t got = ::recv(from.fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? Moved::nothing : Moved::broken;
    from.ended = got == 0;
    if (got == 0) return Moved::some;
    const Bytes data = buffer.first(static_cast<std::size_t>(got));
    bytes_ += data.size();
    from.bulk = data.size() == buffer.size();
    // The end that follows leaves in one segment with what came before.
    from.ended = finished && !from.bulk;
    const auto sent = send(to, data, from.ended ? MSG_MORE : 0);
    if (!sent) return Moved::broken;
    const Bytes rest = data.subspan(*sent);
    from.held.assign(rest.begin(), rest.end());
    // A buffer that was not filled was all there is: asking again would only find that out.
    return from.bulk ? Moved::some : Moved::nothing;
  }

  void reset_on_close(int fd) {
    constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
    if (fd >= 0) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset);
  }

  void end_later() {
    a_.poll.set(0);
    b_.poll.set(0);
    report_ = loop_->timers.at(loop_->clock.now(), [this] { sink_.on_relay_end(); });
  }

  Pipes& pipes_;
  Sink& sink_;
  Loop::State* loop_ = nullptr;
  Side a_, b_;
  bool broken_ = false;
  std::uint64_t bytes_ = 0;
  Timer report_;
};

class SpliceRelays final : public Relays {
 public:
  explicit SpliceRelays(std::size_t pipes_max) : pipes_(pipes_max) {}
  std::unique_ptr<Relay> start(RelayEnd a, RelayEnd b, Relay::Sink& sink) override {
    return std::make_unique<SpliceRelay>(pipes_, std::move(a), std::move(b), sink);
  }

 private:
  Pipes pipes_;
};

}  // namespace

std::unique_ptr<Relays> make_relays(std::size_t pipes_max) {
  return std::make_unique<SpliceRelays>(pipes_max);
}

}  // namespace outrider::uv
