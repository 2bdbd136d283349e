// SPDX-License-Identifier: Apache-2.0
// gRPC over http2::Server: calls by path, messages as octets, a status at the end.
//
//   http2::Server ▸ grpc::Server ▸ Service::find ▸ Service::on_call ▸ Reply        (unary)
//                                            └───▸ Service::on_stream ▸ StreamReader,
//                                                                       StreamWriter  (streaming)
//
// Messages are not compressed (grpc-encoding: identity), and as long as Limits permits. A call ends
// with a status of its service, or with one from here: a deadline that has passed (grpc-timeout), a
// message that is too long or malformed, a method that the service does not have, a server that
// stops. What is not gRPC gets an HTTP status and a sentence.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/http2/server.h"

namespace outrider::grpc {

/// Octets of one message from a client, unless the service has fewer.
inline constexpr std::size_t kMessageBytesMax = 1U << 20;
/// A unary request must be complete within this time.
inline constexpr Duration kRequestTimeout = std::chrono::seconds(10);
/// Octets of a streaming response that are unsent when StreamWriter::send() asks for a pause, and
/// when the client that does not read is given up.
inline constexpr std::size_t kStreamPauseBytes = 64U << 10;
inline constexpr std::size_t kStreamQueueBytesMax = 4U << 20;
/// Octets of a request that is not gRPC; after these, its refusal waits for no more.
inline constexpr std::size_t kRefusedBodyBytesMax = 64U << 10;
/// Octets of a status message that are sent.
inline constexpr std::size_t kStatusTextBytesMax = 2'048;

enum class Code : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};

struct Status {
  Code code = Code::ok;
  std::string text;
};

/// What came with a call. Valid as long as the call is.
struct CallHead {
  std::string path;        // "/etcdserverpb.KV/Range"
  http::Headers metadata;  // names in lower case
  StreamAddress local;     // where the client connected to
  StreamAddress peer;
};

struct Method {
  enum class Kind : std::uint8_t { unary, streaming };
  std::string_view path;
  Kind kind = Kind::unary;
  http::Work work = http::Work::reads;
};

class Call;
/// Ties a reply or writer to its call until one of them is destroyed.
struct CallLink;

/// The right to answer a unary call, once. Destroying it unanswered answers INTERNAL. Answering a
/// client that is gone does nothing.
class [[nodiscard]] Reply {
 public:
  explicit Reply(std::shared_ptr<CallLink> link) : link_(std::move(link)) {}
  Reply(Reply&&) noexcept = default;
  Reply& operator=(Reply&& other) noexcept;
  ~Reply();

  void answer(std::string_view message);
  void fail(Status status);
  bool alive() const;

 private:
  std::shared_ptr<CallLink> link_;
};

/// The server's side of a streaming call. Destroying it unfinished finishes it with OK.
class [[nodiscard]] StreamWriter {
 public:
  explicit StreamWriter(std::shared_ptr<CallLink> link) : link_(std::move(link)) {}
  StreamWriter(StreamWriter&&) noexcept = default;
  StreamWriter& operator=(StreamWriter&& other) noexcept;
  ~StreamWriter();

  /// False: hold further messages back until StreamReader::on_writable(), or the call is over. A
  /// call with more than kStreamQueueBytesMax unsent is reset.
  bool send(std::string_view message);
  void finish(Status status);
  bool alive() const;

 private:
  std::shared_ptr<CallLink> link_;
};

/// The client's side of a streaming call. Destroyed when the call is over for whatever reason; not
/// called any more after StreamWriter::finish().
class StreamReader {
 public:
  virtual ~StreamReader() = default;
  virtual void on_message(Bytes message) = 0;
  /// The client sends nothing further.
  virtual void on_half_close() = 0;
  virtual void on_writable() = 0;
};

/// Who answers the calls. May not destroy the server.
class Service {
 public:
  /// Null: there is no such method. What is returned outlives the server.
  virtual const Method* find(std::string_view path) const = 0;
  /// Why there is none; the code is UNIMPLEMENTED.
  virtual std::string refuse(std::string_view path) const = 0;
  /// A unary call has arrived. `message` is valid during the call.
  virtual void on_call(const Method& method, const CallHead& head, Bytes message, Reply reply) = 0;
  /// A streaming call has begun. Not null.
  virtual std::unique_ptr<StreamReader> on_stream(const Method& method, const CallHead& head,
                                                  StreamWriter writer) = 0;

 protected:
  ~Service() = default;
};

struct ServerCounters {
  std::uint64_t messages = 0;  // of clients, in unary and streaming calls
  std::uint64_t refused = 0;   // calls that ended with another status than OK
};

class Server final : public http2::Handler {
 public:
  /// The service outlives the server, and the server the http2::Server that it is given to.
  Server(Env& env, Service& service, std::size_t message_bytes_max = kMessageBytesMax)
      : env_(env), service_(service), message_bytes_max_(message_bytes_max) {}
  Server(const Server&) = delete;

  std::unique_ptr<http2::Receiver> on_request(const http2::RequestHead& head,
                                              http2::Responder& responder) override;
  /// Streaming calls end with UNAVAILABLE and this text, and so does whatever comes now. Unary
  /// calls at hand are answered.
  void stop(std::string why);

  std::size_t call_count() const { return calls_.size(); }
  const ServerCounters& counters() const { return counters_; }

 private:
  friend class Call;
  Env& env_;
  Service& service_;
  std::size_t message_bytes_max_;
  std::list<Call*> calls_;
  ServerCounters counters_;
  std::string stopped_;  // why; empty: it has not
};

/// Percent-encoded as grpc-message wants it, and cut to kStatusTextBytesMax.
std::string encode_status_text(std::string_view text);
/// The value of grpc-timeout ("250m"); nullopt: malformed.
std::optional<Duration> parse_timeout(std::string_view text);

}  // namespace outrider::grpc
