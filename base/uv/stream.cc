// SPDX-License-Identifier: Apache-2.0
#include "base/uv/stream.h"

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/assert.h"
#include "base/socket_silence.h"

namespace outrider::uv {

SocketStream::SocketStream(Loop::State& loop, FileDescriptor fd, StreamPoll poll,
                           StreamAddress peer, bool opened)
    : loop_(loop),
      fd_(std::move(fd)),
      peer_(std::move(peer)),
      writes_(opened ? 1 : 0),
      poll_(std::move(poll)) {
  poll_.set_owner(*this);
  update_poll();
}

SocketStream::Parts SocketStream::release() {
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
  return {loop_,
          std::move(fd_),
          std::move(poll_),
          std::move(unsent_),
          std::holds_alternative<Endpoint>(peer_),
          ended_ || read_all_,
          finishing_,
          is_broken(),
          writes_};
}

void SocketStream::start(Sink& sink) {
  sink_ = &sink;
  if (is_broken()) break_later(*broken_);
  update_poll();
}

void SocketStream::update_poll() {
  const bool reads = sink_ != nullptr && !paused_ && !ended_ && !is_broken();
  const bool writes = unsent_bytes() > 0 && !is_broken();
  poll_.set((reads ? std::uint32_t{EPOLLIN} : 0) | (writes ? std::uint32_t{EPOLLOUT} : 0));
}

void SocketStream::on_ready(std::uint32_t events) {
  const Life::Watch watch(life_);
  // First what came before an error that may be pending.
  if ((events & EPOLLIN) != 0) read((events & EPOLLRDHUP) != 0);
  if (watch.gone()) return;
  if (read_all_ && !ended_ && !paused_ && !is_broken()) {
    ended_ = true;
    sink_->on_end();
    if (watch.gone()) return;
  }
  if ((events & EPOLLOUT) != 0 && unsent_bytes() > 0 && !is_broken()) send_unsent();
  if (!watch.gone()) update_poll();
}

void SocketStream::read(bool is_last) {
  const MutableBytes buffer = loop_.read_buffer();
  const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got > 0) {
    read_all_ = is_last && static_cast<std::size_t>(got) < buffer.size();
    sink_->on_data(buffer.first(static_cast<std::size_t>(got)));
  } else if (got == 0) {
    ended_ = true;
    sink_->on_end();
  } else if (errno != EAGAIN && errno != EINTR) {
    broken_ = net_error(errno);
    unsent_.clear();
    sent_ = 0;
    sink_->on_broken(*broken_);
  }
}

Result<void, NetError> SocketStream::write(Bytes data) {
  if (finishing_ || is_broken()) return failure(NetError::closed);
  if (unsent_bytes() + data.size() > kStreamUnsentBytesMax) return failure(NetError::too_big);
  undelay();
  if (unsent_bytes() == 0) data = data.subspan(send(data));
  if (!is_broken() && !data.empty()) {
    unsent_.insert(unsent_.end(), data.begin(), data.end());
    update_poll();
  }
  return {};
}

// Nagle's algorithm holds back what follows unacknowledged bytes: a first write never waits, and
// most probes and answers have no other.
void SocketStream::undelay() {
  if (writes_ == 2 || ++writes_ < 2 || !std::holds_alternative<Endpoint>(peer_)) return;
  set_option(fd_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
}

std::size_t SocketStream::send(Bytes data) {
  if (data.empty()) return 0;
  ssize_t sent;
  do {
    // MSG_NOSIGNAL: a peer that went away must not end the program by SIGPIPE.
    sent = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (errno != EAGAIN && errno != ENOBUFS) break_later(net_error(errno));
  return 0;
}

void SocketStream::send_unsent() {
  sent_ += send(Bytes(unsent_).subspan(sent_));
  if (is_broken()) return;
  if (sent_ < unsent_.size()) {
    // Moving only when more than half has left keeps the cost of a byte constant.
    if (sent_ > unsent_.size() / 2) {
      unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent_));
      sent_ = 0;
    }
    return;
  }
  unsent_.clear();
  sent_ = 0;
  if (unsent_.capacity() > kStreamIdleQueueBytes) unsent_.shrink_to_fit();
  if (finishing_) shut_down();
  if (sink_ != nullptr) sink_->on_drained();
}

void SocketStream::finish() {
  if (finishing_) return;
  finishing_ = true;
  if (unsent_bytes() == 0 && !is_broken()) shut_down();
}

void SocketStream::shut_down() {
  // Fails only when the peer has torn the connection down, which reading will report.
  static_cast<void>(::shutdown(fd_.get(), SHUT_WR));
}

void SocketStream::break_later(NetError error) {
  broken_ = error;
  unsent_.clear();
  sent_ = 0;
  update_poll();
  break_report_ = loop_.timers.at(loop_.clock.now(), [this] { deliver_break(); });
}

// What came before a break that a write has noticed is still worth reading: an HTTP server may
// answer and close while the request is on its way.
void SocketStream::deliver_break() {
  // Before start() it waits: start() asks for it again.
  if (sink_ == nullptr) return;
  const Life::Watch watch(life_);
  const MutableBytes buffer = loop_.read_buffer();
  while (!paused_ && !ended_) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) break;
    sink_->on_data(buffer.first(static_cast<std::size_t>(got)));
    if (watch.gone()) return;
  }
  sink_->on_broken(*broken_);
}

void SocketStream::reset_on_destroy() {
  if (!std::holds_alternative<Endpoint>(peer_)) return;
  constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset);
}

void SocketStream::set_paused(bool paused) {
  paused_ = paused;
  update_poll();
}

StreamAddress SocketStream::local() const {
  return local_address(fd_.get()).to_stream_address();
}

std::optional<PeerCredentials> SocketStream::peer_credentials() const {
  if (!std::holds_alternative<UnixPath>(peer_)) return std::nullopt;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
    return std::nullopt;
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

// --- Connecting ------------------------------------------------------------------------------

namespace {

class Connector final : public Pending, private StreamPoll::Owner {
 public:
  Connector(Loop::State& loop, const ConnectOptions& options, ConnectCallback callback)
      : loop_(loop), to_(options.to), callback_(std::move(callback)) {
    if (const auto started = start(options); !started) fail_later(started.error());
  }

 private:
  Result<void, NetError> start(const ConnectOptions& options) {
    if (options.opening.size() > kStreamUnsentBytesMax) return failure(NetError::too_big);
    const SocketAddress address(to_);
    if (address.size == 0) return failure(NetError::not_available);
    auto opened = open_socket(address.storage.ss_family, SOCK_STREAM);
    if (!opened && opened.error() == NetError::no_resources && loop_.reserve.connect.release())
      opened = open_socket(address.storage.ss_family, SOCK_STREAM);
    if (!opened) return failure(opened.error());
    fd_ = std::move(*opened);
    if (std::holds_alternative<Endpoint>(to_)) {
      if (options.from && !bind(*options.from)) return failure(net_error(errno));
      limit_silence(fd_.get(), options.keep_alive, options.unacknowledged_max);
    }
    int code;
    do {
      code = ::connect(fd_.get(), address.data(), address.size);
    } while (code != 0 && errno == EINTR);
    // The backlog of a Unix socket is full: it is the peer that does not accept.
    if (code != 0 && errno == EAGAIN && std::holds_alternative<UnixPath>(to_))
      return failure(NetError::timed_out);
    if (code != 0 && errno != EINPROGRESS) return failure(net_error(errno));
    const auto sent = send_opening(options.opening);
    if (!sent) return failure(sent.error());
    const auto polled = poll_.open(loop_.stream_polls, fd_.get(), opened_ ? EPOLLIN : EPOLLOUT);
    if (!polled) return polled;
    poll_.set_owner(*this);
    if (opened_) later_ = loop_.timers.at(loop_.clock.now(), [this] { succeed(); });
    return {};
  }

  /// On this host a handshake is over when connect() returns, which sending shows: one system call
  /// for both, and the peer is woken once, to find connection and request.
  Result<void, NetError> send_opening(Bytes opening) {
    if (opening.empty()) return {};
    const ssize_t sent = ::send(fd_.get(), opening.data(), opening.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
      return failure(net_error(errno));
    opened_ = sent > 0;
    if (opened_) opening = opening.subspan(static_cast<std::size_t>(sent));
    unsent_.assign(opening.begin(), opening.end());
    return {};
  }

  bool bind(const IpAddress& from) {
    // The port is chosen at connect, where the whole four-tuple counts.
    set_option(fd_.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const SocketAddress address(Endpoint{from, 0});
    return ::bind(fd_.get(), address.data(), address.size) == 0;
  }

  void on_ready(std::uint32_t) override {
    if (opened_) {
      // The answer arrived before the turn that was to report the connection; the stream reads it
      // in the next one.
      later_.reset();
      succeed();
      return;
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0 && is_connected_to_itself()) error = ECONNREFUSED;
    if (error != 0) {
      poll_.close();
      fd_.reset();
      finish(failure(net_error(error)));
      return;
    }
    succeed();
  }

  /// TCP connects a socket to itself if the kernel picks the wanted port of this host as its own
  /// (RFC 9293 §3.5, simultaneous open): nothing listens there.
  bool is_connected_to_itself() const {
    const auto* to = std::get_if<Endpoint>(&to_);
    if (to == nullptr) return false;
    const SocketAddress own = local_address(fd_.get());
    return own.size > 0 && load_endpoint(own.storage) == *to;
  }

  void succeed() {
    auto stream =
        std::make_unique<SocketStream>(loop_, std::move(fd_), std::move(poll_), to_, opened_);
    if (!unsent_.empty()) {
      const auto written = stream->write(unsent_);
      OUTRIDER_ASSERT(written);
    }
    finish(std::move(stream));
  }

  void fail_later(NetError error) {
    poll_.close();
    fd_.reset();
    later_ = loop_.timers.at(loop_.clock.now(), [this, error] { finish(failure(error)); });
  }

  void finish(Result<std::unique_ptr<Stream>, NetError> result) {
    // The callback may destroy this, so it runs from the stack.
    ConnectCallback callback = std::move(callback_);
    callback(std::move(result));
  }

  Loop::State& loop_;
  StreamAddress to_;
  ConnectCallback callback_;
  FileDescriptor fd_;
  bool opened_ = false;               // the first bytes have left
  std::vector<std::uint8_t> unsent_;  // of the opening
  Timer later_;
  StreamPoll poll_;
};

}  // namespace

std::unique_ptr<Pending> LoopNetwork::connect(const ConnectOptions& options,
                                              ConnectCallback callback) {
  return std::make_unique<Connector>(loop_, options, std::move(callback));
}

}  // namespace outrider::uv
