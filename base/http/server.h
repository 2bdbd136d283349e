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
// limits what one turn of the loop may take and what may wait for readers. Framing rules are the
// parser's; access rules are the guard's.
#pragma once

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

/// Connections of one listener that are not waiting. When it is full, the connection that has been
/// idle longest makes room; if none is idle, further ones get 503.
inline constexpr std::size_t kConnectionsMax = 64;
/// A connection that has not asked anything yet is not idle before this.
inline constexpr Duration kFirstRequestGrace = std::chrono::seconds(1);
/// Streams and blocking queries of one listener; further requests get 503.
inline constexpr std::size_t kWaitersMax = 512;
/// Connections that are open only to be refused with a reason; further ones are dropped.
inline constexpr std::size_t kRefusalsMax = 64;
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
/// On a port that the whole LAN may reach: the same times, and the connections of one source
/// address (IPv6: one /64). Further ones are dropped.
inline constexpr Duration kPublicRequestTimeout = std::chrono::seconds(3);
inline constexpr Duration kPublicIdleTimeout = std::chrono::seconds(10);
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
/// Ties an exchange or stream to its connection until one of them is destroyed.
struct ExchangeLink;

/// A running stream of server-sent events. Destroying it ends the stream in an orderly way.
class [[nodiscard]] EventStream {
 public:
  EventStream() = default;
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept;
  ~EventStream();

  /// `text` is whole events or comments. False: the client is gone, or has just been dropped with
  /// `event: lagged` because it does not read; the stream is of no more use.
  bool send(std::string_view text);
  bool alive() const;

 private:
  friend class Exchange;
  explicit EventStream(std::shared_ptr<ExchangeLink> link) : link_(std::move(link)) {}
  std::shared_ptr<ExchangeLink> link_;
};

/// The right to answer one request, once. Destroying it unanswered answers 500.
class [[nodiscard]] Exchange {
 public:
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
  /// After wait(): sends the head of an event stream; `this` is of no more use.
  EventStream begin_stream();
  bool alive() const;

 private:
  friend class Connection;
  explicit Exchange(std::shared_ptr<ExchangeLink> link) : link_(std::move(link)) {}
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

struct ServerCounters {
  std::uint64_t connections = 0;          // accepted
  std::uint64_t connections_refused = 0;  // beyond kConnectionsMax, or a source's share
  std::uint64_t connections_evicted = 0;  // idle, to make room
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
  /// Shared with the other servers of the agent, outlives them all; null: its own.
  Clients* clients = nullptr;
};

class Server final : Listener::Sink {
 public:
  Server(Env& env, ServerOptions options, Handler& handler);
  ~Server();
  Server(const Server&) = delete;

  /// `not_available` for a TCP address that is not loopback, but for public_reading.
  Result<void, NetError> start();
  /// For the requests from now on.
  void set_token(std::string token) { options_.guard.token = std::move(token); }
  /// Where it listens, with the port that the system picked.
  StreamAddress local() const;

  const ServerCounters& counters() const { return counters_; }
  std::size_t connection_count() const { return connections_.size(); }
  std::size_t waiter_count() const { return waiters_; }
  const Clients& clients() const { return clients_; }

 private:
  friend class Connection;

  void on_accept(std::unique_ptr<Stream> stream) override;
  void on_accept_error(NetError error) override;
  void drop(Connection& connection);
  bool is_beyond_share(const StreamAddress& peer) const;
  bool make_room();
  Duration request_timeout() const;
  Duration idle_timeout() const;

  Env& env_;
  ServerOptions options_;
  std::unique_ptr<Clients> own_clients_;
  Clients& clients_;
  Handler& handler_;
  std::unique_ptr<Listener> listener_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::size_t busy_ = 0;      // counted against kConnectionsMax
  std::size_t waiters_ = 0;   // against kWaitersMax
  std::size_t refusals_ = 0;  // against kRefusalsMax
  ServerCounters counters_;
};

}  // namespace outrider::http
