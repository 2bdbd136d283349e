// SPDX-License-Identifier: Apache-2.0
// Calls to the Consul agent, one at a time on a kept connection. A token is read from its file when
// a connection is made, and again when Consul refuses it, so that it may be replaced at any time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/http/client_connection.h"
#include "registries/consul/messages.h"
#include "registries/limits.h"

namespace outrider::registries::consul {

/// A list that waits for a change is answered by then.
inline constexpr Duration kListMax = kWait + kWait / 16 + std::chrono::seconds(5);

/// A TTL of twice this leaves time after its half for a renewal that hangs and for another one.
inline constexpr Duration kBeatMargin = kConnectMax + 2 * kCallMax + std::chrono::seconds(1);
/// As rarely as is safe: each renewal wakes this agent and Consul.
constexpr Duration beat_interval(Duration ttl) {
  return ttl / 2 >= kBeatMargin ? ttl / 2 : ttl / 3;
}

struct Failure {
  enum class Kind : std::uint8_t {
    unreachable,  // no answer, or one that says so: 5xx
    denied,       // 403, or there is no token to be had
    refused,      // everything else that Consul says no to
  };
  Kind kind = Kind::unreachable;
  int status = 0;    // of HTTP; 0: there was no answer
  std::string text;  // for people
};

struct Answer {
  std::uint64_t index = 1;
  bool filtered = false;  // Consul (1.12 and later) says that the token may not see everything
  std::string body;
};

class Client final : http::ClientConnection::Sink {
 public:
  struct Call {
    std::string method = "GET";
    std::string target;
    std::string body;
    Duration answer_max = kCallMax;
    std::size_t bytes_max = kAnswerBytesMax;
    bool repeatable = true;  // see http::ClientConnection
    /// Takes the body of a good answer while it comes; null: it is in the answer.
    Callback<void(std::string_view)> on_piece;
  };
  using Reply = Callback<void(Result<Answer, Failure>)>;

  /// All outlive it. `names` may be null.
  Client(Env& env, const Options& options, NameLookup* names);
  ~Client();

  /// Not while another call is under way. The reply comes once, not before this returns, and not
  /// after close(); it may call again, or destroy the client.
  void call(Call call, Reply reply);
  bool is_busy() const { return static_cast<bool>(reply_); }
  /// Forgets the call, and closes the connection.
  void close();

 private:
  void send();
  /// Empty if none is configured; or why the file cannot be used.
  Result<std::string, std::string> load_token() const;
  void on_head(int status, const http::Headers& headers) override;
  void on_piece(std::string_view piece) override;
  void on_complete() override;
  void on_failed(const http::ClientError& error) override;
  void fail(Failure failure);
  void fail_later(Failure failure);
  void finish(Result<Answer, Failure> result);

  Env& env_;
  const Options& options_;
  NameLookup* names_;
  std::string token_;
  bool again_ = false;  // the call was sent again, with another token
  Call call_;
  Reply reply_;
  int status_ = 0;
  std::size_t bytes_ = 0;  // of the body
  Answer answer_;
  Timer later_;
  std::unique_ptr<http::ClientConnection> connection_;
};

}  // namespace outrider::registries::consul
