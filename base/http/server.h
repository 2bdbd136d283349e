// SPDX-License-Identifier: Apache-2.0
// An HTTP/1.1 server: one listener, Unix or loopback TCP, and its connections.
//
//   Listener ▸ Connection ▸ RequestParser ▸ guard ▸ Handler ▸ Exchange
//
// An exchange is the right to answer one request. It may be answered at once, kept until something
// happens (a blocking query), or turned into a stream of events. If the client disconnects first,
// the exchange is notified, and answering it does nothing.
//
// Requests of one connection are answered in order; the next one is begun when the one before is
// answered and the client keeps up with reading. All servers of an agent share Clients, which
// limits what one turn of the loop may take and what is kept for clients. Framing rules are the
// parser's; access rules are the guard's.
//
// A client that has something to report must get in whatever the others do. So a new connection is
// refused only if every other one is in the middle of an answer: otherwise the one that is least
// missed is closed (Standing says which). Requests that wait have a limit of their own, and what
// changes something goes before what only reads.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/http/answer.h"
#include "base/http/clients.h"
#include "base/http/guard.h"
#include "base/http/parser.h"
#include "base/json.h"

namespace outrider::http {

/// Streams and blocking queries of one listener; further requests get 503.
inline constexpr std::size_t kWaitersMax = 2'048;
/// Connections of one listener, but for those that are closing. All that wait may be answered at
/// once, and keep their places until they ask again.
inline constexpr std::size_t kConnectionsMax = kWaitersMax + 512;
/// Connections that are open only until the client has read its last answer; when one comes, the
/// oldest ones beyond this are dropped.
inline constexpr std::size_t kClosingMax = 64;
/// Connections that the kernel may hold until they are accepted: many clients come back at once
/// when the agent restarts. The kernel caps it (net.core.somaxconn).
inline constexpr int kBacklog = 4'096;
/// Connections that are closed each time that descriptors run out.
inline constexpr std::size_t kMadeRoomMax = 4;
/// Unless the server has another limit.
inline constexpr std::size_t kRequestBodyBytesMax = json::kBodyBytesMax;
/// Bytes that a client may send ahead of its answers.
inline constexpr std::size_t kPipelinedBytesMax = 64U << 10;
/// Bytes of answers that a client may leave unread before its next request is begun.
inline constexpr std::size_t kUnreadBytesMax = 64U << 10;
/// Bytes that may wait for the reader of a stream; a reader that falls further behind is dropped.
inline constexpr std::size_t kStreamQueueBytesMax = 1U << 20;
inline constexpr Duration kRequestTimeout = std::chrono::seconds(10);  // first byte to last
inline constexpr Duration kIdleTimeout = std::chrono::seconds(60);     // between requests
inline constexpr Duration kStallTimeout =
    std::chrono::seconds(30);                                 // the client does not read its answer
inline constexpr Duration kLinger = std::chrono::seconds(2);  // RFC 9112 §9.6
/// On a port that the whole LAN may reach: the same times, the connections of all sources, and
/// those of one source address (IPv6: one /64). Further ones of one source are dropped.
inline constexpr Duration kPublicRequestTimeout = std::chrono::seconds(3);
inline constexpr Duration kPublicIdleTimeout = std::chrono::seconds(10);
inline constexpr std::size_t kPublicConnectionsMax = 64;
inline constexpr std::size_t kPublicConnectionsPerSource = 8;

struct ServerRequest {
  std::string method;
  std::string path;  // decoded
  Target target;
  Headers headers;
  std::string body;
  Caller caller;
};

class Server;
class Connection;
struct ExchangeLink;

/// What a stream is made of: literals.
struct StreamForm {
  std::string_view content_type = "text/event-stream";
  /// The last thing that a client is sent that fell too far behind.
  std::string_view lagged = "event: lagged\ndata: {}\n\n";
  /// Each text that is sent is a chunk (RFC 9112 §7.1), as clients need that read piece by piece.
  bool chunked = false;
};

/// Who asked, and gets the answer: a connection, or a caller in this process.
class Asker {
 public:
  virtual void answer(Answer&& answer) = 0;
  virtual bool can_wait() const = 0;
  virtual void begin_wait() = 0;
  /// Instead of begin_wait(), 503.
  virtual void refuse_wait() = 0;
  virtual void begin_stream(StreamForm form) = 0;
  virtual bool send_events(std::string_view text) = 0;
  virtual void end_stream() = 0;
  virtual std::size_t unread_bytes() const = 0;
  /// It is in this process and cannot wait: it takes what is known, and what is in effect.
  virtual bool is_hurried() const { return false; }

 protected:
  ~Asker() = default;
};

/// Ties an exchange or stream to who asked until one of them is destroyed.
struct ExchangeLink {
  Asker* asker = nullptr;  // null once answered or disconnected
  Callback<void()> on_gone;
  Callback<void()> on_read;  // of a stream
};

/// A running stream of server-sent events, or of other text. Destroying it ends the stream in an
/// orderly way.
class [[nodiscard]] EventStream {
 public:
  EventStream() = default;
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept;
  ~EventStream();

  /// `text` is whole events or comments. False: the client is gone, or has just been dropped with
  /// StreamForm::lagged because it does not read; the stream is of no more use.
  bool send(std::string_view text);
  bool alive() const;
  /// Octets that the client has not read yet.
  std::size_t unread_bytes() const;
  /// Called each time that the client had fallen behind and has read everything. May destroy the
  /// stream.
  void on_read(Callback<void()> callback);

 private:
  friend class Exchange;
  explicit EventStream(std::shared_ptr<ExchangeLink> link) : link_(std::move(link)) {}
  std::shared_ptr<ExchangeLink> link_;
};

/// The right to answer one request, once. Destroying it unanswered answers 500.
class [[nodiscard]] Exchange {
 public:
  explicit Exchange(std::shared_ptr<ExchangeLink> link) : link_(std::move(link)) {}
  Exchange(Exchange&&) noexcept = default;
  Exchange& operator=(Exchange&& other) noexcept;
  ~Exchange();

  void answer(Answer answer);
  /// The answer goes to `gate` first, with the exchange, which lets it pass when its time has come.
  void hold_answer(Callback<void(Exchange, Answer)> gate) { gate_ = std::move(gate); }
  /// Keeps the exchange for later. `on_gone` is called once if the client disconnects before the
  /// answer or during the stream that follows; it may destroy the exchange or stream. False: too
  /// many requests wait, and this one has been answered 503.
  [[nodiscard]] bool wait(Callback<void()> on_gone);
  /// Whether wait() would be granted.
  bool can_wait() const;
  /// Whether the answer must come before on_request() returns.
  bool is_hurried() const;
  /// After wait(): sends the head of an event stream; `this` is of no more use.
  EventStream begin_stream(StreamForm form = {});
  bool alive() const;

 private:
  std::shared_ptr<ExchangeLink> link_;
  Callback<void(Exchange, Answer)> gate_;
};

class Handler {
 public:
  /// The request is valid during the call. May answer at once; may not destroy the server.
  virtual void on_request(const ServerRequest& request, Exchange exchange) = 0;

 protected:
  ~Handler() = default;
};

/// What a client of HTTP/2 sends first (RFC 9113 §3.4); to HTTP/1.1 it is a request that has no
/// meaning.
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Takes the connections of such clients.
class Http2Acceptor {
 public:
  /// `received` begins with the preface and is valid during the call. The stream is started again,
  /// with another sink.
  virtual void on_http2(std::unique_ptr<Stream> stream, Bytes received) = 0;

 protected:
  ~Http2Acceptor() = default;
};

struct ServerCounters {
  std::uint64_t connections = 0;          // accepted
  std::uint64_t connections_refused = 0;  // all others were being answered, or a source's share
  std::uint64_t connections_evicted = 0;  // to make room
  std::uint64_t requests = 0;
  std::uint64_t requests_malformed = 0;
  std::uint64_t requests_refused = 0;  // by the guard
  std::uint64_t streams_lagged = 0;
  std::uint64_t clients_lagged = 0;  // dropped for the memory that waited for them
};

struct ServerOptions {
  StreamAddress on;  // TCP: loopback only, but for public_reading
  std::uint32_t mode = 0660;
  GuardOptions guard;  // for TCP
  std::size_t connections_max = kConnectionsMax, waiters_max = kWaitersMax;
  std::size_t request_body_bytes_max = kRequestBodyBytesMax;
  /// The form of answers to requests that do not reach the handler.
  Answer (*refusal)(int status, std::string_view why) = error_answer;
  /// Shared with the other servers of the agent, outlives them all; null: its own.
  Clients* clients = nullptr;
  /// Outlives the server; null: clients of HTTP/2 are refused.
  Http2Acceptor* http2 = nullptr;
};

/// What a connection is doing. To make room, the connection that has been idle longest is closed;
/// if there is none, the oldest unfinished one. Answering and waiting ones are not closed for room,
/// except that waiting ones are when the process has no descriptors left.
enum class Standing : std::uint8_t {
  idle,        // between requests, after the first one
  unfinished,  // a request has not arrived, or an answer has not been read
  closing,     // answered for the last time
  answering,   // a request is being answered, or waits for its turn
  waiting,     // a blocking query or a stream
};
inline constexpr std::size_t kStandings = 5;

class Server final : Listener::Sink {
 public:
  Server(Env& env, ServerOptions options, Handler& handler);
  ~Server();
  Server(const Server&) = delete;

  /// `not_available` for a TCP address that is not loopback, but for public_reading.
  Result<void, NetError> start();
  /// Serves a connection that another listener has accepted. `read`: what was read of it already;
  /// the stream is paused. A server that was not started serves these alone.
  void adopt(std::unique_ptr<Stream> stream, Bytes read);
  /// For the requests from now on.
  void set_token(std::string token) { options_.guard.token = std::move(token); }
  /// Where it listens, with the port that the system picked.
  StreamAddress local() const;

  const ServerCounters& counters() const { return counters_; }
  std::size_t connection_count() const;
  std::size_t waiter_count() const { return connections(Standing::waiting).size(); }
  const Clients& clients() const { return clients_; }

 private:
  friend class Connection;
  using Connections = std::list<std::unique_ptr<Connection>>;

  void on_accept(std::unique_ptr<Stream> stream) override;
  void on_accept_error(NetError error) override;
  Connection* take(std::unique_ptr<Stream> stream);
  void drop(Connection& connection);
  /// To the end of the list of its new standing.
  void move(Connection& connection, Standing to);
  const Connections& connections(Standing standing) const {
    return connections_[static_cast<std::size_t>(standing)];
  }
  Connections& connections(Standing standing) {
    return connections_[static_cast<std::size_t>(standing)];
  }
  bool is_beyond_share(const StreamAddress& peer) const;
  bool is_full() const;
  bool make_room(std::size_t unfinished_kept = 0);
  Duration request_timeout() const;
  Duration idle_timeout() const;

  Env& env_;
  ServerOptions options_;
  std::unique_ptr<Clients> own_clients_;
  Clients& clients_;
  Handler& handler_;
  std::unique_ptr<Listener> listener_;
  std::array<Connections, kStandings> connections_;  // by standing, of each the oldest first
  ServerCounters counters_;
};

}  // namespace outrider::http
