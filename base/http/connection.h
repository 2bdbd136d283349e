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
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/http/server.h"

namespace outrider::http {

struct ExchangeLink {
  Connection* connection = nullptr;  // null once answered or disconnected
  Callback<void()> on_gone;
};

class Connection final : Stream::Sink, public Clients::Member {
 public:
  using Position = std::list<std::unique_ptr<Connection>>::iterator;

  /// `refused`: it only gets 503.
  Connection(Env& env, Server& server, std::unique_ptr<Stream> stream, bool refused);
  ~Connection();
  Connection(const Connection&) = delete;

  void start(Position position);
  Position position() const { return position_; }
  const StreamAddress& peer() const { return peer_; }
  /// It has nothing to do, since since(). One that has just been accepted may have a request that
  /// is not read yet.
  bool is_idle() const;
  TimePoint since() const { return since_; }

  // For Exchange and EventStream.
  void answer(const Answer& answer);
  bool can_wait() const;
  bool begin_wait();
  void begin_stream();
  bool send_events(std::string_view text);
  void end_stream();
  void forget_exchange();

 private:
  enum class Phase : std::uint8_t { reading, handling, waiting, streaming, lingering, dropped };
  /// Which of the server's budgets it is counted in.
  enum class Budget : std::uint8_t { busy, waiter, refusal };

  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  void on_drained() override;

  void on_turn() override;
  bool on_evicted() override;

  void read_requests();
  bool may_take_request();
  void after_requests();
  std::size_t unread_bytes() const;
  void write_some();
  void take_request(Request request);
  void refuse(int status, std::string_view why);
  void append_answer(const Answer& answer);
  void flush();
  void linger();
  /// The client is gone; destroys this.
  void disappear();
  void set_budget(Budget budget);
  std::size_t& count_of(Budget budget);
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
  Budget budget_ = Budget::busy;
  bool in_turn_ = false;       // within read_requests: answers are flushed together
  bool keep_alive_ = true;     // of the request in hand
  bool head_request_ = false;  // of the request in hand
  bool started_message_ = false;
  bool continued_ = false;  // "100 Continue" was sent for the request in hand
  bool peer_ended_ = false;
  std::string method_and_path_;  // of the request in hand, for the log
  std::string input_;            // received and not parsed yet
  std::string output_;           // not yet handed to the stream
  std::size_t output_at_ = 0;
  std::optional<std::size_t> snapshot_bytes_;  // of a stream: not counted until it is read
  std::shared_ptr<ExchangeLink> link_;
  TimePoint since_;  // of its last answer, or of its beginning
  bool served_ = false;
  TimePoint deadline_;
  Timer timer_;
  Timer resume_;  // looks at what the client sent ahead, or is destroyed
  Timer write_;   // the rest of a long answer
};

}  // namespace outrider::http
