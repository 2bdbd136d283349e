// SPDX-License-Identifier: Apache-2.0
#include "base/http/client.h"

#include <optional>

namespace outrider::http {
namespace {

// States: connecting (connect_ is set) ▸ talking (stream_ is set) ▸ finished (callback_ is empty).
// Only finish() leads to the last. A target beyond the request's reach is never connected to.
class Exchange final : public Pending, private Stream::Sink {
 public:
  Exchange(Env& env, ClientRequest request, ResponseCallback callback)
      : env_(env),
        request_(std::move(request)),
        callback_(std::move(callback)),
        parser_(request_.body_bytes_max, request_.method == "HEAD") {
    if (const auto allowed = check_reach(request_.to, env_.network, request_.reach); !allowed) {
      refusal_ = explain(allowed.error());
      timeout_ = env_.after(Duration::zero(), [this] { fail(ClientError::Kind::forbidden); });
      return;
    }
    timeout_ = env_.after(request_.timeout, [this] { fail(ClientError::Kind::timeout); });
    const std::string text = head_and_body();
    const ConnectOptions options{.to = request_.to, .from = {}, .opening = as_bytes(text)};
    connect_ = env_.network.connect(options, [this](auto stream) {
      if (!stream) return fail(ClientError::Kind::network, stream.error());
      stream_ = std::move(*stream);
      stream_->start(*this);
    });
  }

 private:
  std::string head_and_body() const {
    const std::string host = !request_.host.empty() ? request_.host
                             : std::holds_alternative<UnixPath>(request_.to)
                                 ? "localhost"
                                 : to_string(request_.to);
    return write_request(request_.method, request_.target, host, request_.headers, request_.body,
                         false);
  }

  void on_data(Bytes data) override {
    while (!data.empty() && !parser_.complete()) {
      const auto used = parser_.feed(data);
      if (!used) return fail(ClientError::Kind::protocol);
      if (*used == 0) break;
      data = data.subspan(*used);
    }
    if (parser_.complete()) succeed();
  }

  void on_end() override {
    if (parser_.finish() && parser_.complete()) return succeed();
    fail(ClientError::Kind::protocol);
  }

  void on_broken(NetError error) override { fail(ClientError::Kind::network, error); }

  void succeed() {
    if (parser_.response().body_cut) return fail(ClientError::Kind::body_too_long);
    finish(parser_.take());
  }

  void fail(ClientError::Kind kind, NetError network = NetError::failed) {
    ClientError error{kind, network, to_string(request_.to) + ": "};
    switch (kind) {
      case ClientError::Kind::network:
        error.text += to_string(network);
        break;
      case ClientError::Kind::protocol:
        error.text += "not a complete HTTP response";
        break;
      case ClientError::Kind::timeout:
        error.text += "no answer in time";
        break;
      case ClientError::Kind::body_too_long:
        error.text += "the response is too long";
        break;
      case ClientError::Kind::forbidden:
        error.text += refusal_;
        break;
    }
    finish(failure(std::move(error)));
  }

  // The callback may destroy this.
  void finish(Result<Response, ClientError> result) {
    timeout_.reset();
    connect_.reset();
    stream_.reset();
    ResponseCallback callback = std::move(callback_);
    callback(std::move(result));
  }

  Env& env_;
  ClientRequest request_;
  ResponseCallback callback_;
  ResponseParser parser_;
  const char* refusal_ = "";
  Timer timeout_;
  std::unique_ptr<Pending> connect_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace

std::unique_ptr<Pending> fetch(Env& env, ClientRequest request, ResponseCallback callback) {
  return std::make_unique<Exchange>(env, std::move(request), std::move(callback));
}

}  // namespace outrider::http
