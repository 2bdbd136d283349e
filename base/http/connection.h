// SPDX-License-Identifier: Apache-2.0
// One connection of Server: reads requests, hands them over one at a time, writes answers.
//
//   reading ⇄ handling (an Exchange is out) ▸ waiting ▸ streaming
//      └──────────── any ▸ lingering (no more answers; reads and throws away until the peer ends)
//                      └─▸ dropped (evicted; destroyed with the next turn)
//
// A request that has arrived is begun when the client has read most of what was answered before and
// when Clients permits it. Until then the connection notices if the client leaves, and nothing is
// done for it.
//
// The server keeps its connections in lists by their standing, which settle() brings up to date at
// the end of whatever happened to one.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/http/server.h"

namespace outrider::http {

class Connection final : Stream::Sink, public Clients::Member, public Asker {
 public:
  using Position = std::list<std::unique_ptr<Connection>>::iterator;

  Connection(Env& env, Server& server, std::unique_ptr<Stream> stream);
  ~Connection();
  Connection(const Connection&) = delete;

  /// `refused`: it only gets 503.
  void start(Position position, bool refused);
  /// What another has read of the stream; may destroy this.
  void receive(Bytes data) { on_data(data); }
  Position position() const { return position_; }
  /// The list of the server that it is in.
  Standing standing() const { return standing_; }
  const StreamAddress& peer() const { return peer_; }
  /// The client is gone, or is no longer served; destroys this.
  void disappear();

  // Asker
  void answer(Answer&& answer) override;
  bool can_wait() const override;
  void begin_wait() override;
  void refuse_wait() override;
  void begin_stream(StreamForm form) override;
  bool send_events(std::string_view text) override;
  void end_stream() override;
  std::size_t unread_bytes() const override;
  void forget_exchange();

 private:
  /// A complete request, not begun yet.
  struct Next {
    Request request;
    Target target;
    Work work = Work::reads;
  };
  enum class Phase : std::uint8_t { reading, handling, waiting, streaming, lingering, dropped };

  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  void on_drained() override;

  void on_turn() override;
  bool on_evicted() override;
  void end_eviction();

  bool is_http2_or_may_become();
  void hand_over();
  void read_requests();
  bool read_request(std::size_t& at);
  bool may_take_request();
  void after_requests();
  std::size_t kept_bytes() const;
  void write_some();
  void prepare_next(Request request);
  void take_request(Next next);
  void refuse(int status, std::string_view why);
  void append_answer(const Answer& answer);
  void append_piece(std::string_view text);
  void flush();
  void linger();
  void tell_read();
  Standing current_standing() const;
  void settle();
  void set_deadline(Duration delay);
  void on_deadline();

  Env& env_;
  Server& server_;
  std::unique_ptr<Stream> stream_;
  StreamAddress peer_;
  Position position_{};
  RequestParser parser_;
  Caller caller_;
  Phase phase_ = Phase::reading;
  Standing standing_ = Standing::unfinished;
  bool in_turn_ = false;       // within read_requests: answers are flushed together
  bool keep_alive_ = true;     // of the request in hand
  bool head_request_ = false;  // of the request in hand
  bool started_message_ = false;
  bool continued_ = false;  // "100 Continue" was sent for the request in hand
  bool peer_ended_ = false;
  std::string method_and_path_;    // of the request in hand, for the log
  std::string input_;              // received and not parsed yet
  std::size_t message_bytes_ = 0;  // parsed, of the message that is not complete yet
  std::optional<Next> next_;
  std::string output_;  // not yet handed to the stream
  std::size_t output_at_ = 0;
  StreamForm form_;                            // of a stream
  std::optional<std::size_t> snapshot_bytes_;  // of a stream: not counted until it is read
  std::shared_ptr<ExchangeLink> link_;
  bool served_ = false;  // it has been given an answer
  bool http1_ = false;   // the client's first octets were not those of HTTP/2
  TimePoint deadline_;
  Timer timer_;
  Timer resume_;  // looks at what the client sent ahead, or is destroyed
  Timer write_;   // the rest of a long answer
};

}  // namespace outrider::http
