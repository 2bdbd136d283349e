// SPDX-License-Identifier: Apache-2.0
#include "base/curl/module/tls_stream.h"

#include <algorithm>
#include <array>
#include <deque>

#include <sys/socket.h>

#include "base/assert.h"
#include "base/curl/module/multi.h"
#include "base/curl/module/tls_settings.h"
#include "base/socket_silence.h"

namespace outrider::curl {
namespace {

/// Plain bytes in one TLS record (RFC 8446 §5.1). What is sent goes by records: a record that does
/// not leave at once must be given again from the same place in memory, and with the same length.
constexpr std::size_t kRecordBytes = std::size_t{16} << 10;
/// What libcurl hands over at most, however much is asked for.
constexpr std::size_t kReadBytes = std::size_t{4} << 10;

/// One connection as libcurl sees it.
class Handle {
 public:
  Handle(Env& env, const TlsConnect& options)
      : options_(options),
        name_(options.tls.server_name.empty() ? options.name : options.tls.server_name),
        multi_(env, 1) {}
  ~Handle() {
    if (easy_ != nullptr) {
      multi_.remove(easy_);  // closes the connection
      curl_easy_cleanup(easy_);
    }
    curl_slist_free_all(connect_to_);
  }
  Handle(const Handle&) = delete;

  bool start(Work& work);
  int socket() const {
    curl_socket_t fd = CURL_SOCKET_BAD;
    curl_easy_getinfo(easy_, CURLINFO_ACTIVESOCKET, &fd);
    return fd;
  }
  CURLcode receive(MutableBytes buffer, std::size_t& got) {
    return curl_easy_recv(easy_, buffer.data(), buffer.size(), &got);
  }
  CURLcode send(Bytes data, std::size_t& sent) {
    return curl_easy_send(easy_, data.data(), data.size(), &sent);
  }
  Failure explain(CURLcode code) const {
    const std::string name = name_.empty() ? options_.to.address.to_string() : name_;
    return curl::explain(easy_, code, error_.data(), options_.tls, name);
  }
  /// libcurl writes the text of a handle's first error only; from here on also that of later ones.
  void expect_another_error();
  Env& env() { return multi_.env(); }
  const Endpoint& peer() const { return options_.to; }
  StreamAddress local() const;

 private:
  static int on_socket_open(void* self, curl_socket_t fd, curlsocktype) {
    const TlsConnect& options = static_cast<Handle*>(self)->options_;
    limit_silence(fd, options.keep_alive, options.unacknowledged_max);
    return CURL_SOCKOPT_OK;
  }
  static int on_text(CURL*, curl_infotype type, char* at, std::size_t size, void* self) {
    if (type == CURLINFO_TEXT) static_cast<Handle*>(self)->note_text({at, size});
    return 0;
  }
  void note_text(std::string_view text);
  void set_all(Work& work);

  const TlsConnect options_;
  const std::string name_;
  Multi multi_;
  Aim way_;
  CURL* easy_ = nullptr;
  curl_slist* connect_to_ = nullptr;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

bool Handle::start(Work& work) {
  if (!multi_.good()) return false;
  easy_ = curl_easy_init();
  if (easy_ == nullptr) return false;
  set_all(work);
  return multi_.add(easy_);
}

void Handle::set_all(Work& work) {
  const auto set = [this](CURLoption option, auto value) {
    curl_easy_setopt(easy_, option, value);
  };
  way_ = aim(true, options_.to, name_, "/");
  set(CURLOPT_PRIVATE, &work);
  set(CURLOPT_ERRORBUFFER, error_.data());
  set(CURLOPT_URL, way_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_CONNECT_ONLY, 1L);
  // With h2 on offer, servers choose it, and what follows here is HTTP/1.1.
  set(CURLOPT_SSL_ENABLE_ALPN, 0L);
  set(CURLOPT_BUFFERSIZE, static_cast<long>(kReadBytes));
  set(CURLOPT_SOCKOPTFUNCTION, &Handle::on_socket_open);
  set(CURLOPT_SOCKOPTDATA, this);
  set_privacy(easy_);
  set_tls(easy_, options_.tls);
  if (way_.connect_to.empty()) return;
  connect_to_ = curl_slist_append(nullptr, way_.connect_to.c_str());
  set(CURLOPT_CONNECT_TO, connect_to_);
}

void Handle::expect_another_error() {
  curl_easy_setopt(easy_, CURLOPT_DEBUGFUNCTION, &Handle::on_text);
  curl_easy_setopt(easy_, CURLOPT_DEBUGDATA, this);
  curl_easy_setopt(easy_, CURLOPT_VERBOSE, 1L);
}

void Handle::note_text(std::string_view text) {
  text = text.substr(0, std::min(text.find('\n'), error_.size() - 1));
  *std::ranges::copy(text, error_.begin()).out = 0;
}

StreamAddress Handle::local() const {
  const char* address = nullptr;
  long port = 0;
  curl_easy_getinfo(easy_, CURLINFO_LOCAL_IP, &address);
  curl_easy_getinfo(easy_, CURLINFO_LOCAL_PORT, &port);
  const auto parsed = IpAddress::parse(address == nullptr ? "" : address);
  return Endpoint{parsed.value_or(IpAddress()), static_cast<std::uint16_t>(port)};
}

NetError net_error(const Failure& failure) {
  switch (failure.kind) {
    case Failure::Kind::no_resources:
      return NetError::no_resources;
    case Failure::Kind::timeout:
      return NetError::timed_out;
    case Failure::Kind::refused:
      return NetError::refused;
    case Failure::Kind::reset:
      return NetError::reset;
    case Failure::Kind::unreachable:
      return NetError::unreachable;
    case Failure::Kind::protocol:
      return NetError::closed;
    case Failure::Kind::tls:
    case Failure::Kind::other:
      return NetError::failed;
  }
  OUTRIDER_UNREACHABLE();
}

// --- The stream --------------------------------------------------------------------------------

class SecureStream final : public TlsStream {
 public:
  explicit SecureStream(std::unique_ptr<Handle> handle)
      : handle_(std::move(handle)), fd_(handle_->socket()) {}
  ~SecureStream() override {
    if (gone_ != nullptr) *gone_ = true;
  }
  Result<void, NetError> watch() {
    auto made =
        handle_->env().network.watch_fd(fd_, {}, [this](FdEvents events) { on_ready(events); });
    if (!made) return failure(made.error());
    watch_ = std::move(*made);
    return {};
  }

  void start(Sink& sink) override;
  Result<void, NetError> write(Bytes data) override;
  std::size_t unsent_bytes() const override { return unsent_bytes_; }
  void finish() override;
  void reset_on_destroy() override;
  void set_paused(bool paused) override;
  StreamAddress local() const override { return handle_->local(); }
  StreamAddress peer() const override { return handle_->peer(); }
  std::optional<PeerCredentials> peer_credentials() const override { return std::nullopt; }
  const std::string& reason() const override { return reason_; }

 private:
  void on_ready(FdEvents events);
  bool reads() const { return sink_ != nullptr && !paused_ && !ended_; }
  void read_later();
  CURLcode read(std::size_t bytes_max);
  void send_unsent();
  void shut_down() { static_cast<void>(::shutdown(fd_, SHUT_WR)); }
  void note_break(CURLcode code);
  void break_later();
  void deliver_break();
  void update_watch();

  const std::unique_ptr<Handle> handle_;
  const int fd_;
  Sink* sink_ = nullptr;
  bool paused_ = false;
  bool ended_ = false;      // the peer has finished
  bool finishing_ = false;  // finish() was called
  std::optional<NetError> broken_;
  std::string reason_;
  std::deque<std::vector<std::uint8_t>> unsent_;  // records; what has been tried stays where it is
  std::size_t sent_ = 0;                          // of the first one
  std::size_t unsent_bytes_ = 0;
  bool* gone_ = nullptr;
  Timer later_;  // reads on, or reports a break
  std::unique_ptr<FdWatch> watch_;
};

void SecureStream::start(Sink& sink) {
  sink_ = &sink;
  if (broken_) return break_later();
  read_later();
  update_watch();
}

/// Bytes may be waiting within TLS already, which the descriptor does not show.
void SecureStream::read_later() {
  later_ = handle_->env().after(Duration::zero(), [this] { on_ready({.readable = true}); });
}

void SecureStream::update_watch() {
  watch_->set({.readable = reads() && !broken_, .writable = unsent_bytes_ > 0 && !broken_});
}

void SecureStream::on_ready(FdEvents events) {
  if (broken_) return;
  if (events.readable && reads()) {
    bool gone = false;
    gone_ = &gone;
    const CURLcode code = read(kTurnBytesMax);
    if (gone) return;
    gone_ = nullptr;
    if (broken_) return;  // by a write meanwhile
    if (code == CURLE_OK && reads()) {
      read_later();
    } else if (code != CURLE_OK && code != CURLE_AGAIN) {
      note_break(code);
      update_watch();
      return sink_->on_broken(*broken_);
    }
  }
  if (events.writable && unsent_bytes_ > 0) {
    send_unsent();
    if (!broken_ && unsent_bytes_ == 0) {
      update_watch();
      if (sink_ != nullptr) sink_->on_drained();
      return;
    }
  }
  update_watch();
}

/// CURLE_OK: more may be there. Stops early, with it, if a callback destroys this.
CURLcode SecureStream::read(std::size_t bytes_max) {
  const bool* const gone = gone_;
  std::array<std::uint8_t, kReadBytes> buffer;
  std::size_t total = 0;
  while (total < bytes_max && reads()) {
    std::size_t got = 0;
    const CURLcode code = handle_->receive(buffer, got);
    if (code != CURLE_OK) return code;
    if (got == 0) {
      ended_ = true;
      sink_->on_end();
      return CURLE_OK;
    }
    total += got;
    sink_->on_data(Bytes(buffer).first(got));
    if (*gone) return CURLE_OK;
  }
  return CURLE_OK;
}

Result<void, NetError> SecureStream::write(Bytes data) {
  if (finishing_ || broken_) return failure(NetError::closed);
  if (unsent_bytes_ + data.size() > kStreamUnsentBytesMax) return failure(NetError::too_big);
  const bool idle = unsent_bytes_ == 0;
  unsent_bytes_ += data.size();
  while (!data.empty()) {
    // The first record may have been tried.
    if (unsent_.size() < 2 || unsent_.back().size() == kRecordBytes) unsent_.emplace_back();
    std::vector<std::uint8_t>& record = unsent_.back();
    const Bytes part = data.first(std::min(data.size(), kRecordBytes - record.size()));
    record.insert(record.end(), part.begin(), part.end());
    data = data.subspan(part.size());
  }
  if (idle) send_unsent();
  if (!broken_) update_watch();
  return {};
}

void SecureStream::send_unsent() {
  while (!unsent_.empty()) {
    std::size_t sent = 0;
    const CURLcode code = handle_->send(Bytes(unsent_.front()).subspan(sent_), sent);
    if (code == CURLE_AGAIN) return;
    if (code != CURLE_OK) {
      note_break(code);
      return break_later();
    }
    sent_ += sent;
    unsent_bytes_ -= sent;
    if (sent_ < unsent_.front().size()) continue;
    unsent_.pop_front();
    sent_ = 0;
  }
  unsent_.shrink_to_fit();
  if (finishing_) shut_down();
}

void SecureStream::finish() {
  if (finishing_) return;
  finishing_ = true;
  if (unsent_bytes_ == 0 && !broken_) shut_down();
}

void SecureStream::note_break(CURLcode code) {
  Failure failure = handle_->explain(code);
  broken_ = net_error(failure);
  reason_ = std::move(failure.text);
  unsent_.clear();
  sent_ = unsent_bytes_ = 0;
}

void SecureStream::break_later() {
  if (watch_) update_watch();
  later_ = handle_->env().after(Duration::zero(), [this] { deliver_break(); });
}

/// What came before a break that a write has noticed is still worth reading.
void SecureStream::deliver_break() {
  // Before start() it waits: start() asks for it again.
  if (sink_ == nullptr) return;
  bool gone = false;
  gone_ = &gone;
  // A server that refuses the client's certificate says so, and closes (TLS 1.3).
  handle_->expect_another_error();
  const CURLcode code = read(kStreamUnsentBytesMax);
  if (gone) return;
  gone_ = nullptr;
  if (code != CURLE_OK && code != CURLE_AGAIN)
    if (Failure failure = handle_->explain(code); failure.kind == Failure::Kind::tls)
      reason_ = std::move(failure.text);
  sink_->on_broken(*broken_);
}

void SecureStream::reset_on_destroy() {
  constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
  static_cast<void>(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset));
}

void SecureStream::set_paused(bool paused) {
  if (std::exchange(paused_, paused) == paused || broken_) return;
  if (!paused && reads()) read_later();
  update_watch();
}

// --- Connecting --------------------------------------------------------------------------------

class Connecting final : public Pending, private Work {
 public:
  Connecting(Env& env, const TlsConnect& options, TlsCallback callback)
      : callback_(std::move(callback)), handle_(std::make_unique<Handle>(env, options)) {
    if (handle_->start(*this)) return;
    later_ = env.after(Duration::zero(), [this] {
      finish(failure(Failure{Failure::Kind::no_resources, "libcurl has no handle left"}));
    });
  }

 private:
  void on_done(CURLcode code) override {
    if (code != CURLE_OK) return finish(failure(handle_->explain(code)));
    // This runs within the Multi of the handle, which the stream may destroy: libcurl is through
    // with its own work by then.
    auto stream = std::make_unique<SecureStream>(std::move(handle_));
    if (const auto watched = stream->watch(); !watched)
      return finish(failure(Failure{Failure::Kind::no_resources, to_string(watched.error())}));
    finish(std::move(stream));
  }

  void finish(Result<std::unique_ptr<TlsStream>, Failure> result) {
    TlsCallback callback = std::move(callback_);
    callback(std::move(result));  // may destroy this
  }

  TlsCallback callback_;
  std::unique_ptr<Handle> handle_;
  Timer later_;
};

}  // namespace

std::unique_ptr<Pending> make_tls_connect(Env& env, const TlsConnect& options,
                                          TlsCallback callback) {
  return std::make_unique<Connecting>(env, options, std::move(callback));
}

}  // namespace outrider::curl
