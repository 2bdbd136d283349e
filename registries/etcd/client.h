// SPDX-License-Identifier: Apache-2.0
// Unary calls to one server of a cluster at a time, one after another on a kept connection; logs in
// where a user is configured, and again when the server has forgotten the token (a restart, 300 s
// without use). The owner decides when to go to the next server.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "base/http/client_connection.h"
#include "registries/etcd/endpoints.h"
#include "registries/etcd/messages.h"
#include "registries/limits.h"

namespace outrider::registries::etcd {

/// A write, where there is another server: an election takes 1 to 2.5 s, and a write that is asked
/// for in it is lost.
inline constexpr Duration kWriteMax = std::chrono::seconds(1);
/// Calls that wait; their owners have no more than three at once.
inline constexpr std::size_t kCallsMax = 8;

struct Failure {
  enum class Kind : std::uint8_t {
    unreachable,  // no answer, or the server has no leader: another one may do
    denied,       // the user, the password, or what the user may do
    rejected,     // everything else that etcd says no to
    too_long,     // an answer beyond the limit
  };
  Kind kind = Kind::unreachable;
  std::int64_t code = 0;  // of gRPC
  std::string text;       // for people
};

class Client final : http::ClientConnection::Sink {
 public:
  using Reply = Callback<void(Result<Answer, Failure>)>;

  /// All outlive it. `names` may be null. `first`: the endpoint to begin with.
  Client(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
         std::size_t first);
  ~Client();

  /// The reply comes once, not before this returns; destroying the token cancels the reply.
  [[nodiscard]] std::unique_ptr<Pending> call(std::string path, std::string body, Reply reply,
                                              std::size_t answer_bytes_max = kAnswerBytesMax,
                                              Duration deadline = kCallMax);
  /// To the next server. Calls that wait go there.
  void rotate();
  /// To this one, if it is an endpoint.
  void move_to(const std::string& endpoint);
  /// Forgets all calls, and closes.
  void close();

  const std::string& endpoint() const { return endpoint_; }
  /// For a connection of the owner's to the same server; null if its URL cannot be used.
  std::unique_ptr<http::ClientConnection> connection() const;
  std::vector<std::pair<std::string, std::string>> headers() const;

 private:
  struct Call {
    std::string path, body;
    Reply reply;
    std::size_t bytes_max = 0;
    Duration deadline{};
    bool again = false;  // after another login
  };
  struct Token;

  void use(std::size_t index);
  void start_next();
  void send();
  void send_login();
  void on_head(int status, const http::Headers& headers) override;
  void on_piece(std::string_view piece) override;
  void on_complete() override;
  void on_failed(const http::ClientError& error) override;
  void on_login();
  bool is_of_cluster(const Answer& answer);
  std::optional<Failure> judge(const Refusal& refusal);
  void finish(Result<Answer, Failure> result);
  void fail(Failure::Kind kind, std::string text, std::int64_t code = 0);

  Env& env_;
  const Options& options_;
  Endpoints& endpoints_;
  NameLookup* names_;
  std::size_t index_;
  std::string endpoint_;
  std::string token_;
  bool without_login_ = false;  // the cluster has authentication switched off
  bool logging_in_ = false;
  bool moved_ = false;  // to another server, during a call
  std::deque<std::shared_ptr<Call>> waiting_;
  std::shared_ptr<Call> current_;
  int status_ = 0;
  std::string body_;
  Timer start_;
  std::string server_;  // where connection_ leads: of a call under way not always endpoint_
  std::unique_ptr<http::ClientConnection> connection_;
};

}  // namespace outrider::registries::etcd
