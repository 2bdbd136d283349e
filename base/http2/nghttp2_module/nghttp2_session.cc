// SPDX-License-Identifier: Apache-2.0
#include "base/http2/nghttp2_module/nghttp2_session.h"

#include <algorithm>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "base/http2/allowance.h"
#include "base/text.h"

namespace outrider::http2 {
namespace {

class Nghttp2Session final : public Session {
 public:
  explicit Nghttp2Session(Sink& sink) : sink_(sink) {}
  ~Nghttp2Session() override { nghttp2_session_del(session_); }
  Nghttp2Session(const Nghttp2Session&) = delete;

  bool open();

  bool receive(TimePoint now, Bytes data) override;
  Bytes next_output() override;
  void respond(StreamId id, int status, const HeaderList& headers, Body body) override;
  void resume(StreamId id) override { nghttp2_session_resume_data(session_, id); }
  void consume(StreamId id, std::size_t bytes) override {
    nghttp2_session_consume(session_, id, bytes);
  }
  void reset(StreamId id, ErrorCode code) override {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
  }
  void ping() override { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }
  void refuse_streams() override {
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
  }
  void terminate(ErrorCode code) override {
    nghttp2_session_terminate_session(session_, static_cast<std::uint32_t>(code));
  }
  bool finished() const override {
    return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  }
  std::string_view violation() const override { return violation_; }

 private:
  /// The request whose header list arrives: only one can at a time (RFC 9113 §4.3).
  struct Arriving {
    RequestHead head;
    std::size_t bytes = 0;
    unsigned pseudo_fields = 0;  // bits of kPseudoFields
    bool has_fields = false;     // others
    bool malformed = false;
  };

  static Nghttp2Session& self(void* user_data) { return *static_cast<Nghttp2Session*>(user_data); }
  static void set_callbacks(nghttp2_session_callbacks& callbacks);
  static void set_options(nghttp2_option& options);
  static ssize_t read_body(nghttp2_session*, StreamId id, std::uint8_t* room, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source*, void* user_data);

  int on_frame_begun(const nghttp2_frame_hd& head);
  int on_headers_begun(const nghttp2_frame& frame);
  int on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value);
  bool take_field(std::string_view name, std::string_view value);
  bool take_pseudo_field(std::string_view name, std::string_view value);
  void on_frame(const nghttp2_frame& frame);
  void on_data(StreamId id, Bytes data);
  /// Whether the sink knows of this stream: it does from on_request() to on_closed().
  bool is_known(StreamId id) const {
    return nghttp2_session_get_stream_user_data(session_, id) != nullptr;
  }
  void on_frame_sent(const nghttp2_frame& frame);
  int refuse(std::string_view why);

  Sink& sink_;
  nghttp2_session* session_ = nullptr;
  TimePoint now_{};
  Arriving arriving_;
  Allowance pings_{kPingsMax};
  Allowance settings_{kSettingsFramesMax};
  Allowance resets_{kResetsMax};
  Allowance window_updates_{kWindowUpdatesMax};
  Allowance empty_frames_{kEmptyFramesMax};
  bool client_leaves_ = false;  // it has sent GOAWAY
  std::string_view violation_;
};

// RFC 9113 §8.3.1
constexpr std::string_view kPseudoFields[] = {":method", ":path", ":scheme", ":authority"};
constexpr unsigned kNeeded = 0b0111, kNeededToConnect = 0b1001;

/// Those that are about a connection of HTTP/1.1 (RFC 9113 §8.2.2).
bool is_misplaced(std::string_view name, std::string_view value) {
  constexpr std::string_view kNames[] = {"connection", "keep-alive", "proxy-connection",
                                         "transfer-encoding", "upgrade"};
  if (name == "te") return !equal_fold(value, "trailers");
  return std::ranges::find(kNames, name) != std::end(kNames);
}

bool is_request(const nghttp2_frame& frame) {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

// nghttp2 takes pointers to what it copies, and never writes there.
std::uint8_t* unconst(std::string_view text) {
  return const_cast<std::uint8_t*>(as_bytes(text).data());
}

std::vector<nghttp2_nv> name_values(const HeaderList& headers, std::string_view status = {}) {
  std::vector<nghttp2_nv> all;
  all.reserve(headers.size() + 1);
  const auto add = [&](std::string_view name, std::string_view value) {
    all.push_back({unconst(name), unconst(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
  };
  if (!status.empty()) add(":status", status);
  for (const auto& [name, value] : headers)
    add(name, value);
  return all;
}

// --- start -------------------------------------------------------------------------------------

void Nghttp2Session::set_callbacks(nghttp2_session_callbacks& callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(
      &callbacks, [](nghttp2_session*, const nghttp2_frame_hd* head, void* user_data) {
        return self(user_data).on_frame_begun(*head);
      });
  nghttp2_session_callbacks_set_on_begin_headers_callback(
      &callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
        return self(user_data).on_headers_begun(*frame);
      });
  nghttp2_session_callbacks_set_on_header_callback(
      &callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                     std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                     std::uint8_t, void* user_data) {
        return self(user_data).on_header(*frame, as_text({name, name_size}),
                                         as_text({value, value_size}));
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(
      &callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
        self(user_data).on_frame(*frame);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      &callbacks, [](nghttp2_session*, std::uint8_t, StreamId id, const std::uint8_t* data,
                     std::size_t size, void* user_data) {
        self(user_data).on_data(id, {data, size});
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      &callbacks, [](nghttp2_session*, StreamId id, std::uint32_t, void* user_data) {
        if (self(user_data).is_known(id)) self(user_data).sink_.on_closed(id);
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_send_callback(
      &callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
        self(user_data).on_frame_sent(*frame);
        return 0;
      });
}

void Nghttp2Session::set_options(nghttp2_option& options) {
  nghttp2_option_set_no_auto_window_update(&options, 1);
  // Instead of its checks of requests there are ours: it would refuse those of etcd's clients,
  // whose :authority may be "http://127.0.0.1:2379" or "#initially=[127.0.0.1:2379]".
  nghttp2_option_set_no_http_messaging(&options, 1);
  nghttp2_option_set_no_closed_streams(&options, 1);
  nghttp2_option_set_max_outbound_ack(&options, kAcksMax);
  nghttp2_option_set_max_settings(&options, kSettingsMax);
#ifdef OUTRIDER_NGHTTP2_LIMITS
  nghttp2_option_set_max_continuations(&options, kContinuationsMax);
  // Its own limit reads a clock, and does not know what a client has earned: resets_ has.
  constexpr std::uint64_t kNone = UINT32_MAX;
  nghttp2_option_set_stream_reset_rate_limit(&options, kNone, kNone);
#endif
}

bool Nghttp2Session::open() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* options = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return false;
  if (nghttp2_option_new(&options) == 0) {
    set_callbacks(*callbacks);
    set_options(*options);
    nghttp2_session_server_new2(&session_, callbacks, this, options);
    nghttp2_option_del(options);
  }
  nghttp2_session_callbacks_del(callbacks);
  if (session_ == nullptr) return false;

  // Priorities of RFC 7540 are a tree that clients rearrange at our cost; RFC 9113 dropped them.
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kHeaderListBytesMax},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                               kConnectionWindowBytes) == 0;
}

// --- in ----------------------------------------------------------------------------------------

bool Nghttp2Session::receive(TimePoint now, Bytes data) {
  if (!violation_.empty()) return false;
  now_ = now;
  const ssize_t taken = nghttp2_session_mem_recv(session_, data.data(), data.size());
  if (taken >= 0 && violation_.empty()) return true;
  if (violation_.empty()) {
    violation_ = nghttp2_strerror(static_cast<int>(taken));
    terminate(taken == NGHTTP2_ERR_FLOODED ? ErrorCode::enhance_your_calm
                                           : ErrorCode::internal_error);
  } else {
    terminate(ErrorCode::enhance_your_calm);
  }
  return false;
}

/// The result of a callback that ends the session.
int Nghttp2Session::refuse(std::string_view why) {
  if (violation_.empty()) violation_ = why;
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Nghttp2Session::on_frame_begun(const nghttp2_frame_hd& head) {
  switch (head.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_GOAWAY:
    case NGHTTP2_PUSH_PROMISE:
      return 0;
    case NGHTTP2_DATA:
      if (head.length > 0 || (head.flags & NGHTTP2_FLAG_END_STREAM) != 0) return 0;
      return empty_frames_.spend(now_) ? 0 : refuse("too many empty frames");
    case NGHTTP2_PING:
      if ((head.flags & NGHTTP2_FLAG_ACK) != 0) return 0;
      return pings_.spend(now_) ? 0 : refuse("too many PING frames");
    case NGHTTP2_SETTINGS:
      if ((head.flags & NGHTTP2_FLAG_ACK) != 0) return 0;
      return settings_.spend(now_) ? 0 : refuse("too many SETTINGS frames");
    case NGHTTP2_RST_STREAM:
      return resets_.spend(now_) ? 0 : refuse("too many streams were reset");
    case NGHTTP2_WINDOW_UPDATE:
      return window_updates_.spend(now_) ? 0 : refuse("too many WINDOW_UPDATE frames");
    default:  // PRIORITY; unknown ones are skipped before they come here
      return empty_frames_.spend(now_) ? 0 : refuse("too many frames without use");
  }
}

int Nghttp2Session::on_headers_begun(const nghttp2_frame&) {
  arriving_ = {};
  return 0;
}

int Nghttp2Session::on_header(const nghttp2_frame& frame, std::string_view name,
                              std::string_view value) {
  constexpr std::size_t kFieldCost = 32;
  arriving_.bytes += name.size() + value.size() + kFieldCost;
  if (arriving_.bytes > kHeaderListBytesFatal) return refuse("a header list is far too long");
  if (arriving_.bytes > kHeaderListBytesMax) return 0;
  const bool fine = is_request(frame) ? take_field(name, value) : !name.starts_with(':');
  if (!fine) arriving_.malformed = true;
  return 0;
}

bool Nghttp2Session::take_field(std::string_view name, std::string_view value) {
  if (nghttp2_check_header_name(as_bytes(name).data(), name.size()) == 0 ||
      nghttp2_check_header_value(as_bytes(value).data(), value.size()) == 0)
    return false;
  if (name.starts_with(':')) return take_pseudo_field(name, value);
  arriving_.has_fields = true;
  if (is_misplaced(name, value)) return false;
  arriving_.head.headers.fields.emplace_back(name, value);
  return true;
}

/// Each of them once, and before all others.
bool Nghttp2Session::take_pseudo_field(std::string_view name, std::string_view value) {
  const auto known = std::ranges::find(kPseudoFields, name);
  if (known == std::end(kPseudoFields) || arriving_.has_fields) return false;
  const unsigned bit = 1U << (known - std::begin(kPseudoFields));
  if ((std::exchange(arriving_.pseudo_fields, arriving_.pseudo_fields | bit) & bit) != 0)
    return false;
  RequestHead& head = arriving_.head;
  if (name == ":method") {
    head.method = value;
    return !value.empty();
  }
  if (name == ":path") {
    head.path = value;
    return !value.empty();
  }
  if (name == ":authority") head.authority = value;
  return true;
}

void Nghttp2Session::on_frame(const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  if (frame.hd.type == NGHTTP2_GOAWAY) client_leaves_ = true;
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  // The library ignores what comes in later reads, but not what came in the same one.
  if (is_request(frame) && client_leaves_) return reset(id, ErrorCode::refused_stream);
  if (frame.hd.type == NGHTTP2_HEADERS && arriving_.bytes > kHeaderListBytesMax)
    return reset(id, ErrorCode::enhance_your_calm);
  if (is_request(frame)) {
    const unsigned needed = arriving_.head.method == "CONNECT" ? kNeededToConnect : kNeeded;
    if (arriving_.malformed || (arriving_.pseudo_fields & needed) != needed)
      return reset(id, ErrorCode::protocol_error);
    nghttp2_session_set_stream_user_data(session_, id, this);
    // Streams share the connection in turns.
    nghttp2_extpri priority{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
    nghttp2_session_change_extpri_stream_priority(session_, id, &priority, 1);
    sink_.on_request(id, std::move(arriving_.head));
  }
  const bool ends = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  // Trailers: without pseudo-header fields, and the end (RFC 9113 §8.1).
  if (frame.hd.type == NGHTTP2_HEADERS && !is_request(frame) && (arriving_.malformed || !ends))
    return reset(id, ErrorCode::protocol_error);
  if (ends && is_known(id)) sink_.on_end(id);
}

void Nghttp2Session::on_data(StreamId id, Bytes data) {
  if (is_known(id)) return sink_.on_data(id, data);
  consume(id, data.size());
}

// --- out ---------------------------------------------------------------------------------------

Bytes Nghttp2Session::next_output() {
  const std::uint8_t* data = nullptr;
  const bool was_clean = violation_.empty();
  const ssize_t size = nghttp2_session_mem_send(session_, &data);
  // No more than that if the library has ended the session already.
  if (was_clean && !violation_.empty()) terminate(ErrorCode::enhance_your_calm);
  if (size < 0 && violation_.empty()) violation_ = nghttp2_strerror(static_cast<int>(size));
  return size <= 0 ? Bytes{} : Bytes{data, static_cast<std::size_t>(size)};
}

void Nghttp2Session::on_frame_sent(const nghttp2_frame& frame) {
  const StreamId id = frame.hd.stream_id;
  if (frame.hd.type == NGHTTP2_GOAWAY) {
    const std::uint32_t code = frame.goaway.error_code;
    if (code != NGHTTP2_NO_ERROR && violation_.empty()) violation_ = nghttp2_http2_strerror(code);
    return;
  }
  if (frame.hd.type == NGHTTP2_RST_STREAM) {
    // A client can provoke resets as well as send them, by what it does to its own streams.
    const std::uint32_t code = frame.rst_stream.error_code;
    const bool provoked =
        code != NGHTTP2_NO_ERROR && (code != NGHTTP2_REFUSED_STREAM || client_leaves_);
    if (provoked && !resets_.spend(now_)) refuse("too many streams had to be reset");
    return;
  }
  if (frame.hd.type != NGHTTP2_HEADERS && frame.hd.type != NGHTTP2_DATA) return;
  pings_.earn(1);
  if (frame.hd.type == NGHTTP2_DATA) window_updates_.earn(kWindowUpdatesPerData);
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return;
  resets_.earn(1);
  // The response is complete before the request: the client need not go on (RFC 9113 §8.1).
  if (nghttp2_session_get_stream_remote_close(session_, id) == 0) reset(id, ErrorCode::no_error);
}

ssize_t Nghttp2Session::read_body(nghttp2_session* session, StreamId id, std::uint8_t* room,
                                  std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                                  void* user_data) {
  const BodyPiece piece = self(user_data).sink_.read_body(id, {room, size});
  if (piece.size == 0 && !piece.last) return NGHTTP2_ERR_DEFERRED;
  if (piece.last) *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (piece.last && piece.trailers != nullptr) {
    const auto trailers = name_values(*piece.trailers);
    if (nghttp2_submit_trailer(session, id, trailers.data(), trailers.size()) == 0)
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
  }
  return static_cast<ssize_t>(piece.size);
}

void Nghttp2Session::respond(StreamId id, int status, const HeaderList& headers, Body body) {
  const std::string text = std::to_string(status);
  const auto fields = name_values(headers, text);
  nghttp2_data_provider provider{};
  provider.read_callback = &Nghttp2Session::read_body;
  nghttp2_submit_response(session_, id, fields.data(), fields.size(),
                          body == Body::follows ? &provider : nullptr);
}

}  // namespace

std::unique_ptr<Session> make_nghttp2_session(Session::Sink& sink) {
  auto session = std::make_unique<Nghttp2Session>(sink);
  if (!session->open()) return nullptr;
  return session;
}

}  // namespace outrider::http2
