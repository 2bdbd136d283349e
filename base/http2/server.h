// SPDX-License-Identifier: Apache-2.0
// An HTTP/2 server without TLS ("h2c with prior knowledge", RFC 9113 §3.3) on connections that
// http::Server has accepted: it tells by their first octets which of the two a client speaks.
//
//   http::Server ▸ Server::on_http2 ▸ Connection ▸ Session ▸ Handler ▸ Receiver
//                                        └──────── Responder ◂───────────┘
//
// A request is a Receiver, made by the handler, and a Responder, through which it answers. Both
// live from the request's head to the end of its stream. Requests come as fast as the client sends
// them; work for one is begun in turns that all clients of the agent share (http::Clients).
//
// A client that does not read costs bounded memory: a Receiver sees how much of its response is
// unsent, no turn is given on a connection with kUnsentBytesMax of such, and http::Clients bounds
// all connections together.
//
// Browsers speak HTTP/2 over TLS only, so what http::guard checks on their account (Host, Origin)
// is not checked here.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "base/http/clients.h"
#include "base/http/server.h"
#include "base/http2/library.h"
#include "base/http2/session.h"

namespace outrider::http2 {

/// Further ones take the place of the connection that has been without a request for longest; if
/// all have some, they are closed.
inline constexpr std::size_t kConnectionsMax = 512;
/// Octets of responses of one connection that may be unsent when further work for it is begun.
inline constexpr std::size_t kUnsentBytesMax = 1U << 20;
/// Octets of requests that one connection may keep before they are complete.
inline constexpr std::size_t kKeptBytesMax = 4U << 20;
inline constexpr Duration kIdleTimeout = std::chrono::minutes(5);    // without a request
inline constexpr Duration kStallTimeout = std::chrono::seconds(30);  // responses are not read
/// A client that has requests and has been silent for so long is asked whether it is there.
inline constexpr Duration kKeepAliveTime = std::chrono::minutes(2);
inline constexpr Duration kKeepAliveTimeout = std::chrono::seconds(20);
/// From Server::stop() to the end of the requests that are being answered.
inline constexpr Duration kDrainTime = std::chrono::seconds(1);
/// From our last octet to the client's: a close with unread input could overtake it.
inline constexpr Duration kLinger = std::chrono::seconds(2);

class Connection;
class Server;

/// The response to one request. Valid as long as the Receiver of the request is. Nothing here calls
/// the receiver back.
class Responder {
 public:
  Responder(Connection& connection, StreamId id) : connection_(connection), id_(id) {}
  Responder(const Responder&) = delete;

  /// The whole response, without a body.
  void respond(int status, const HeaderList& headers);
  /// The head; send() and finish() follow.
  void begin(int status, const HeaderList& headers);
  bool begun() const { return begun_; }
  /// Copies.
  void send(std::string_view bytes);
  void finish(HeaderList trailers);
  bool finished() const { return finished_; }
  /// Instead of the rest; what was not sent is dropped.
  void reset(ErrorCode code);
  std::size_t unsent_bytes() const { return body_.size() - body_at_; }

  /// The client may send so much more of the request.
  void consume(std::size_t bytes);
  /// Octets of the request that the receiver keeps now. False: the connection keeps more than
  /// kKeptBytesMax, and the receiver should give up.
  [[nodiscard]] bool keep(std::size_t bytes);
  /// Receiver::on_turn() comes once, when it is this request's turn.
  void want_turn(http::Work work);

  /// Where the client connected to, and from where.
  const StreamAddress& local() const;
  const StreamAddress& peer() const;

 private:
  friend class Connection;
  Connection& connection_;
  const StreamId id_;
  std::string body_;
  std::size_t body_at_ = 0;
  std::size_t kept_ = 0;
  std::size_t unconsumed_ = 0;
  HeaderList trailers_;
  http::Work work_ = http::Work::reads;
  bool begun_ = false, finished_ = false, wants_turn_ = false;
};

/// What becomes of one request. Destroyed when its stream is over, for whatever reason, with the
/// connection, or with the server. May not destroy the server.
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void on_data(Bytes data) = 0;
  /// The request is complete.
  virtual void on_end() = 0;
  virtual void on_turn() = 0;
  /// The client has taken all that was sent.
  virtual void on_drained() = 0;
};

class Handler {
 public:
  /// The head is valid during the call. Null: the handler has answered, and what the request still
  /// has is dropped.
  virtual std::unique_ptr<Receiver> on_request(const RequestHead& head, Responder& responder) = 0;

 protected:
  ~Handler() = default;
};

struct ServerCounters {
  std::uint64_t connections = 0;
  std::uint64_t connections_refused = 0;  // all others had requests
  std::uint64_t connections_evicted = 0;  // to make room
  std::uint64_t requests = 0;
  std::uint64_t violations = 0;      // connections ended for what the client did
  std::uint64_t clients_lagged = 0;  // dropped for what waited for them, or after kStallTimeout
};

class Server final : public http::Http2Acceptor {
 public:
  /// `clients`, the library and the handler outlive the server.
  Server(Env& env, http::Clients& clients, const Library& library, Handler& handler);
  ~Server();
  Server(const Server&) = delete;

  /// `received` begins with the preface.
  void on_http2(std::unique_ptr<Stream> stream, Bytes received) override;
  /// Takes no further requests. `done` is called when those at hand are answered, or after
  /// kDrainTime; never during the call.
  void stop(Callback<void()> done);

  const ServerCounters& counters() const { return counters_; }
  std::size_t connection_count() const { return connections_.size(); }

 private:
  friend class Connection;
  void drop(Connection& connection);
  bool make_room();
  void on_ending();
  void end_stop();

  Env& env_;
  http::Clients& clients_;
  const Library& library_;
  Handler& handler_;
  std::list<std::unique_ptr<Connection>> connections_;  // the longest without a request first
  ServerCounters counters_;
  Callback<void()> stopped_;
  Timer stop_timer_;
  bool stopping_ = false;
};

}  // namespace outrider::http2
