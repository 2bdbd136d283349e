// SPDX-License-Identifier: Apache-2.0
#include "base/http2/grpc_call.h"

#include <utility>

namespace outrider::grpc {
namespace {

const http2::HeaderList kHead = {{"content-type", "application/grpc"},
                                 {"grpc-accept-encoding", "identity"}};

http2::HeaderList trailers_of(const Status& status) {
  http2::HeaderList trailers{{"grpc-status", std::to_string(static_cast<int>(status.code))}};
  if (!status.text.empty()) trailers.emplace_back("grpc-message", encode_status_text(status.text));
  return trailers;
}

}  // namespace

Call::Call(Server& server, const Method* method, const http2::RequestHead& head,
           http2::Responder& responder)
    : server_(server),
      responder_(responder),
      method_(method),
      head_{head.path, head.headers, responder.local(), responder.peer()},
      received_(server.message_bytes_max_),
      link_(std::make_shared<CallLink>()) {
  at_ = server_.calls_.insert(server_.calls_.end(), this);
  link_->call = this;
}

Call::~Call() {
  over_ = true;
  forget_link();
  server_.calls_.erase(at_);
}

void Call::begin() {
  if (method_ == nullptr) return finish({Code::unimplemented, server_.service_.refuse(head_.path)});
  if (!server_.stopped_.empty()) return on_stop();
  set_deadline();
  if (!over_ && is_streaming()) responder_.want_turn(method_->work);
}

void Call::set_deadline() {
  const std::string_view text = head_.metadata.get("grpc-timeout");
  const auto timeout = parse_timeout(text);
  if (!text.empty() && !timeout)
    return finish({Code::internal, "malformed grpc-timeout: " + std::string(text)});
  if (timeout) {
    deadline_ = server_.env_.after(*timeout, [this] {
      finish({Code::deadline_exceeded, "the client's deadline has passed"});
    });
  } else if (!is_streaming()) {
    deadline_ = server_.env_.after(kRequestTimeout, [this] {
      finish({Code::deadline_exceeded, "the request did not arrive in time"});
    });
  }
}

void Call::on_stop() {
  if (over_ || (method_ != nullptr && !is_streaming() && taken_)) return;
  finish({Code::unavailable, server_.stopped_});
}

// --- In ---------------------------------------------------------------------------------------

void Call::on_data(Bytes data) {
  if (over_) return responder_.consume(data.size());
  received_.feed(data);
  look();
}

void Call::on_end() {
  ended_ = true;
  look();
}

/// At what has arrived: a message may be complete, or must not become longer.
void Call::look() {
  if (over_) return;
  switch (received_.error()) {
    case FramingError::none:
      break;
    case FramingError::compressed:
      return finish({Code::unimplemented,
                     "compressed messages are not supported (grpc-accept-encoding: identity)"});
    case FramingError::flag:
      return finish({Code::internal, "a message begins with an unknown flag"});
    case FramingError::too_long:
      return finish(
          {Code::resource_exhausted,
           "a message is longer than " + std::to_string(server_.message_bytes_max_) + " octets"});
  }
  keep();
  if (over_) return;
  if (is_streaming()) {
    if (ended_ && received_.size() > 0 && !received_.has_message())
      return finish({Code::internal, "the request ends within a message"});
    if (received_.has_message() || ended_) responder_.want_turn(method_->work);
  } else if (ended_) {
    if (!received_.has_message())
      return finish({Code::internal, "the request ends before its message does"});
    responder_.want_turn(method_->work);
  }
}

/// A client may send on while a message is not complete, and must wait while one is not taken. So
/// it can never send more than a message and what the flow control lets it send ahead.
void Call::keep() {
  if (!received_.has_message()) responder_.consume(received_.size());
  if (!responder_.keep(received_.size()))
    finish({Code::resource_exhausted, "the requests of this connection take too much memory"});
}

void Call::on_turn() {
  if (over_) return;
  if (!is_streaming()) return take_message();
  if (reader_ == nullptr) {
    reader_ = server_.service_.on_stream(*method_, head_, StreamWriter(link_));
    if (!over_) look();
    return;
  }
  if (received_.has_message()) {
    const std::string message = received_.take();
    responder_.consume(message.size() + kPrefixBytes);
    ++server_.counters_.messages;
    reader_->on_message(as_bytes(message));
    return look();
  }
  if (ended_ && !std::exchange(half_closed_, true)) reader_->on_half_close();
}

void Call::take_message() {
  if (std::exchange(taken_, true)) return;
  if (head_.metadata.get("grpc-timeout").empty()) deadline_.reset();
  const std::string message = received_.take();
  if (received_.size() > 0)
    return finish({Code::internal, "a unary call has more than one message"});
  static_cast<void>(responder_.keep(0));
  ++server_.counters_.messages;
  server_.service_.on_call(*method_, head_, as_bytes(message), Reply(link_));
}

// --- Out --------------------------------------------------------------------------------------

bool Call::send(std::string_view message) {
  if (over_) return false;
  if (!responder_.begun()) responder_.begin(200, kHead);
  responder_.send(message_prefix(message.size()));
  responder_.send(message);
  if (!is_streaming()) return true;
  if (responder_.unsent_bytes() > kStreamQueueBytesMax + message.size()) {
    over_ = true;
    forget_link();
    responder_.reset(http2::ErrorCode::enhance_your_calm);
    return false;
  }
  return responder_.unsent_bytes() < kStreamPauseBytes;
}

void Call::on_drained() {
  if (!over_ && reader_ != nullptr) reader_->on_writable();
}

void Call::finish(Status status) {
  if (std::exchange(over_, true)) return;
  if (status.code != Code::ok) ++server_.counters_.refused;
  forget_link();
  deadline_.reset();
  received_.clear();
  static_cast<void>(responder_.keep(0));
  server_.env_.log.record(LogEvent::grpc_answered, {{"request", head_.path},
                                                    {"status", static_cast<int>(status.code)},
                                                    {"peer", to_string(head_.peer)},
                                                    {"reason", status.text}});
  if (responder_.begun()) return responder_.finish(trailers_of(status));
  http2::HeaderList headers = kHead;  // "Trailers-Only"
  for (auto& trailer : trailers_of(status))
    headers.push_back(std::move(trailer));
  responder_.respond(200, headers);
}

void Call::forget_link() {
  if (link_ == nullptr) return;
  link_->call = nullptr;
  link_.reset();
}

}  // namespace outrider::grpc
