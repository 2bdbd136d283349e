// SPDX-License-Identifier: Apache-2.0
// A client of HTTP/2 in the simulator: libnghttp2's, or single frames for what it would not send.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "base/http2/session.h"
#include "tests/base/http/client.h"

namespace outrider::test {

/// What came back on one stream.
struct H2Response {
  std::string status;
  std::map<std::string, std::string> headers, trailers;
  std::string body;
  bool closed = false;
  std::uint32_t error = 0;  // with which the stream was closed
};

class H2Client final : Stream::Sink {
 public:
  using Fields = http2::HeaderList;

  H2Client(sim::World& world, StreamAddress to) : world_(world) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    set_callbacks(callbacks);
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_peer_max_concurrent_streams(options, 100'000);
    nghttp2_session_client_new2(&session_, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, nullptr, 0);

    ConnectOptions connect;
    connect.to = std::move(to);
    connecting_ = world.env().network.connect(connect, [this](auto stream) {
      if (!stream) return;
      stream_ = std::move(*stream);
      stream_->start(*this);
    });
    world_.run_until([this] { return stream_ != nullptr; }, 1s);
    REQUIRE(stream_ != nullptr);
  }
  ~H2Client() { nghttp2_session_del(session_); }
  H2Client(const H2Client&) = delete;

  /// The head of a request; `body` null: finish() or more data follow.
  int ask(std::string_view method, std::string_view path, const Fields& headers,
          const std::string* body) {
    Fields all{{":method", std::string(method)},
               {":scheme", "http"},
               {":authority", "localhost"},
               {":path", std::string(path)}};
    all.insert(all.end(), headers.begin(), headers.end());
    return ask_with(all, body);
  }
  /// With these fields alone.
  int ask_with(const Fields& all, const std::string* body) {
    auto outgoing = std::make_unique<Outgoing>();
    nghttp2_data_provider provider{};
    provider.source.ptr = outgoing.get();
    provider.read_callback = &H2Client::read_body;
    if (body != nullptr) {
      outgoing->bytes = *body;
      outgoing->ended = true;
    }
    const auto fields = name_values(all);
    const bool empty = body != nullptr && body->empty();
    const int id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                          empty ? nullptr : &provider, nullptr);
    outgoing_[id] = std::move(outgoing);
    flush();
    return id;
  }
  int ask_with(const Fields& all) {
    const std::string none;
    return ask_with(all, &none);
  }
  int get(std::string_view path) {
    const std::string none;
    return ask("GET", path, {}, &none);
  }
  /// A gRPC call with one message, which is its last one if `body` is complete.
  int call(std::string_view path, const std::string& body, Fields more = {}) {
    return ask("POST", path, grpc_headers(std::move(more)), &body);
  }
  int open_call(std::string_view path, Fields more = {}) {
    return ask("POST", path, grpc_headers(std::move(more)), nullptr);
  }
  void send(int id, std::string_view body) {
    outgoing_.at(id)->bytes += body;
    nghttp2_session_resume_data(session_, id);
    flush();
  }
  void finish(int id) {
    outgoing_.at(id)->ended = true;
    nghttp2_session_resume_data(session_, id);
    flush();
  }
  void reset(int id) {
    nghttp2_submit_rst_stream(session_, 0, id, NGHTTP2_CANCEL);
    flush();
  }
  void ping() {
    nghttp2_submit_ping(session_, 0, nullptr);
    flush();
  }
  /// Octets as they are, behind what the session has sent.
  void raw(std::string_view bytes) {
    if (stream_ != nullptr) static_cast<void>(stream_->write(as_bytes(bytes)));
  }
  static std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t id,
                           std::string_view payload) {
    std::string out;
    for (const unsigned shift : {16U, 8U, 0U})
      out += static_cast<char>(payload.size() >> shift);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    for (const unsigned shift : {24U, 16U, 8U, 0U})
      out += static_cast<char>(id >> shift);
    return out += payload;
  }

  /// Does not read what was sent to it, or reads on.
  void set_paused(bool paused) { stream_->set_paused(paused); }
  /// Takes what arrives without permission to send more.
  void set_window_closed(bool closed) { window_closed_ = closed; }
  /// Permission for all that was withheld.
  void open_windows() {
    window_closed_ = false;
    for (auto& [id, size] : std::exchange(withheld_, {}))
      nghttp2_session_consume(session_, id, size);
    flush();
  }
  void close() { stream_.reset(); }

  H2Response& at(int id) { return responses_[id]; }
  /// The response, when all is quiet for a moment.
  H2Response& wait(int id) {
    world_.advance(50ms);
    return responses_[id];
  }
  bool ended() const { return ended_; }
  bool goaway() const { return goaway_; }
  std::uint32_t goaway_code() const { return goaway_code_; }
  int pings = 0, pongs = 0;

 private:
  struct Outgoing {
    std::string bytes;
    std::size_t at = 0;
    bool ended = false;
  };

  static H2Client& self(void* data) { return *static_cast<H2Client*>(data); }
  static std::vector<nghttp2_nv> name_values(const Fields& fields) {
    std::vector<nghttp2_nv> all;
    for (const auto& [name, value] : fields)
      all.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                     value.size(), NGHTTP2_NV_FLAG_NONE});
    return all;
  }
  static Fields grpc_headers(Fields more) {
    Fields headers{{"content-type", "application/grpc"}, {"te", "trailers"}};
    headers.insert(headers.end(), more.begin(), more.end());
    return headers;
  }
  static ssize_t read_body(nghttp2_session*, int, std::uint8_t* room, std::size_t size,
                           std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& from = *static_cast<Outgoing*>(source->ptr);
    const std::size_t count = std::min(size, from.bytes.size() - from.at);
    std::copy_n(from.bytes.begin() + static_cast<std::ptrdiff_t>(from.at), count, room);
    from.at += count;
    const bool all = from.at == from.bytes.size();
    if (all && from.ended) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count == 0 && !from.ended) return NGHTTP2_ERR_DEFERRED;
    return static_cast<ssize_t>(count);
  }
  static void set_callbacks(nghttp2_session_callbacks* callbacks) {
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void* data) {
          H2Response& response = self(data).responses_[frame->hd.stream_id];
          const std::string key(as_text({name, name_size}));
          const std::string text(as_text({value, value_size}));
          if (key == ":status")
            response.status = text;
          else if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
            response.headers[key] = text;
          else
            response.trailers[key] = text;
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session* session, std::uint8_t, int id, const std::uint8_t* bytes,
                      std::size_t size, void* data) {
          self(data).responses_[id].body += as_text({bytes, size});
          if (self(data).window_closed_)
            self(data).withheld_[id] += size;
          else
            nghttp2_session_consume(session, id, size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        callbacks, [](nghttp2_session*, int id, std::uint32_t error, void* data) {
          self(data).responses_[id].closed = true;
          self(data).responses_[id].error = error;
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* data) {
          if (frame->hd.type == NGHTTP2_GOAWAY) {
            self(data).goaway_ = true;
            self(data).goaway_code_ = frame->goaway.error_code;
          }
          if (frame->hd.type == NGHTTP2_PING)
            ++((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? self(data).pongs : self(data).pings);
          return 0;
        });
  }

  void flush() {
    const std::uint8_t* bytes = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &bytes)) > 0;)
      raw(as_text({bytes, static_cast<std::size_t>(size)}));
  }
  void on_data(Bytes data) override {
    nghttp2_session_mem_recv(session_, data.data(), data.size());
    flush();
  }
  void on_end() override { ended_ = true; }
  void on_broken(NetError) override { ended_ = true; }

  sim::World& world_;
  nghttp2_session* session_ = nullptr;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Stream> stream_;
  std::map<int, std::unique_ptr<Outgoing>> outgoing_;
  std::map<int, H2Response> responses_;
  std::map<int, std::size_t> withheld_;
  bool window_closed_ = false, ended_ = false, goaway_ = false;
  std::uint32_t goaway_code_ = 0;
};

}  // namespace outrider::test
