// SPDX-License-Identifier: Apache-2.0
// One connection of Bridge.
//
//   head ▸ held (an unknown service is asked for) ▸ connecting ▸ waiting ▸ relaying
//     └──────────────── any ▸ lingering (refused; reads and throws away until the client ends)
//
// In waiting, the request has been sent, and what more of it comes is passed on; it ends with the
// first byte of the answer, or when the client has sent more than kWaitingBytesMax.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/bridge/bridge.h"
#include "agent/bridge/refusal.h"
#include "base/http/parser.h"

namespace outrider::bridge {

class Connection final : Stream::Sink, Relay::Sink {
 public:
  using Position = std::list<std::unique_ptr<Connection>>::iterator;

  Connection(Bridge& bridge, std::unique_ptr<Stream> client, Entrance entrance);
  ~Connection();
  Connection(const Connection&) = delete;

  void start(Position position);
  /// Answers this at once.
  void refuse(Refusal refusal);
  Position position() const { return position_; }
  const IpAddress& client_address() const { return address_; }
  bool is_relaying() const { return relay_ != nullptr; }
  /// The head of its request has not come.
  bool is_fresh() const { return phase_ == Phase::head; }
  std::uint64_t bytes() const { return relay_ != nullptr ? relay_->bytes() : 0; }

  /// Something changed in the registry; may destroy this.
  void on_changes(const std::vector<std::string>& critical);
  /// Once each kIdleLook; true: it has been idle for too long.
  bool is_idle_for_long();
  std::unique_ptr<Stream> take_client() { return std::move(client_); }
  std::string take_bytes() { return std::move(request_->bytes); }

 private:
  enum class Phase : std::uint8_t { head, held, connecting, waiting, relaying, lingering };

  /// What is needed until an answer has begun.
  struct Request {
    std::string bytes;        // as they came
    http::HeadParser parser;  // HTTP
    std::string name;         // of the service
    std::string method;       // HTTP
    http::Form form = http::Form::text;
    bool repeatable = false;
    std::size_t passed_on = 0;  // after `bytes`
    std::vector<Endpoint> tried;
    std::vector<std::pair<std::string, std::string>> failures;  // as in Refusal::lines
  };
  class Upstream;

  void on_data(Bytes data) override;
  void on_end() override;
  void on_broken(NetError error) override;
  void on_relay_end() override;

  void enter(Phase phase);
  void read_http(Bytes data);
  void read_tls();
  void refuse_head(int status, std::string why);
  void take_head(http::RequestHead head);
  void go_to(std::string_view host);
  void hold();
  void connect();
  void on_connected(Result<std::unique_ptr<Stream>, NetError> result);
  void pass_on(Bytes data);
  void pass_on_end();
  void fail_attempt(std::string reason);
  void fail_waiting(std::string reason);
  void give_up();
  void refuse_https();
  void answer_came(Bytes data);
  /// What has come from either end since they were connected goes ahead.
  void relay(Bytes from_client, Bytes from_instance);
  void set_deadline(Duration after);
  void on_deadline();

  Bridge& bridge_;
  std::unique_ptr<Stream> client_;
  IpAddress address_;
  Position position_{};
  Entrance entrance_;
  Phase phase_ = Phase::head;
  bool client_ended_ = false;
  std::uint8_t idle_looks_ = 0;
  std::uint64_t bytes_seen_ = 0;
  std::unique_ptr<Request> request_;  // until the relay begins
  std::optional<Target> target_;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Upstream> upstream_;
  std::unique_ptr<Relay> relay_;
  Timer timer_;
};

}  // namespace outrider::bridge
