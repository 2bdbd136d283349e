// SPDX-License-Identifier: Apache-2.0
// One connection of Server: carries octets between a Stream and a Session, and keeps the requests.
//
//   open ─▸ ending (the session is finished; reads and throws away until the client ends)
//     └───▸ dropped (evicted; destroyed with the next turn)
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/http2/server.h"

namespace outrider::http2 {

class Connection final : Stream::Sink, Session::Sink, public http::Clients::Member {
 public:
  using Position = std::list<std::unique_ptr<Connection>>::iterator;

  Connection(Env& env, Server& server, std::unique_ptr<Stream> stream);
  ~Connection();
  Connection(const Connection&) = delete;

  /// False: out of memory.
  bool start(Position position, Bytes received);
  Position position() const { return position_; }
  bool has_requests() const { return !requests_.empty(); }
  bool is_ending() const { return phase_ != Phase::open; }
  /// No further requests; closes when there is none.
  void refuse_requests();

 private:
  friend class Responder;
  struct Request {
    Request(Connection& connection, StreamId id) : responder(connection, id) {}
    Responder responder;
    std::unique_ptr<Receiver> receiver;  // null: its data is dropped
    /// Of the body: octets that have come, and that the client has announced, if it has.
    std::uint64_t received = 0;
    std::optional<std::uint64_t> announced;
  };
  enum class Phase : std::uint8_t { open, ending, dropped };

  // Of the stream.
  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  void on_drained() override;

  // Of the session.
  void on_request(StreamId id, RequestHead head) override;
  void on_data(StreamId id, Bytes data) override;
  void on_end(StreamId id) override;
  void on_closed(StreamId id) override;
  BodyPiece read_body(StreamId id, MutableBytes room) override;

  // Of the clients.
  void on_turn() override;
  bool on_evicted() override;

  Request* find(StreamId id);
  void receive(Bytes data);
  void read_input();
  void work();
  void go_on();
  bool is_backed_up() const { return unsent_bytes() >= kUnsentBytesMax; }
  std::size_t unsent_bytes() const;
  void add_unsent(std::size_t bytes);
  void forget(Request& request);
  void flush();
  void flush_soon();
  void write_some();
  void tell_drained();
  void end();
  void note_lag();
  void settle();
  TimePoint deadline() const;
  void set_deadline();
  void on_deadline();

  Env& env_;
  Server& server_;
  std::unique_ptr<Stream> stream_;
  StreamAddress local_, peer_;
  Position position_{};
  std::unique_ptr<Session> session_;
  std::map<StreamId, Request> requests_;
  std::list<Responder*> ready_;    // that want a turn, in order
  std::vector<StreamId> drained_;  // whose receivers are to be notified
  std::string input_;              // received, and left for the next turn
  std::string output_;
  std::size_t body_bytes_ = 0;  // unsent, of all responses
  std::size_t kept_bytes_ = 0;  // of all requests
  Phase phase_ = Phase::open;
  bool busy_ = false;       // within go_on(): sends at its end, and is not evicted
  bool held_back_ = false;  // ready_ waits for the client to read
  bool asked_ = false;      // a PING is not answered yet
  TimePoint heard_;         // when the client was last heard of
  TimePoint moved_;         // when it last took something of what waits for it
  Timer timer_;
  Timer soon_;  // go_on() in the next turn; or destroys this
};

}  // namespace outrider::http2
