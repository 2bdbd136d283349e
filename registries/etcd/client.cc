// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/client.h"

#include <algorithm>

#include "base/text.h"
#include "base/text_file.h"

namespace outrider::registries::etcd {
namespace {

// Codes of gRPC.
constexpr std::int64_t kUnknown = 2;
constexpr std::int64_t kInvalidArgument = 3;
constexpr std::int64_t kPermissionDenied = 7;
constexpr std::int64_t kFailedPrecondition = 9;
constexpr std::int64_t kUnavailable = 14;
constexpr std::int64_t kUnauthenticated = 16;

constexpr int kContentTooLarge = 413;  // of a proxy

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

struct Client::Token final : Pending {
  explicit Token(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~Token() override { call_->reply = nullptr; }
  std::shared_ptr<Call> call_;
};

Client::Client(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
               std::size_t first)
    : env_(env),
      options_(options),
      endpoints_(endpoints),
      names_(names),
      index_(first),
      endpoint_(endpoints.at(first)) {}

Client::~Client() = default;

std::unique_ptr<http::ClientConnection> Client::connection() const {
  return http::connection_to(env_, endpoint_, options_.tls, names_);
}

std::vector<std::pair<std::string, std::string>> Client::headers() const {
  std::vector<std::pair<std::string, std::string>> headers{{"Content-Type", "application/json"}};
  if (!token_.empty()) headers.emplace_back("Authorization", token_);
  return headers;
}

std::unique_ptr<Pending> Client::call(std::string path, std::string body, Reply reply,
                                      std::size_t answer_bytes_max, Duration deadline) {
  std::erase_if(waiting_, [](const auto& each) { return !each->reply; });
  OUTRIDER_ASSERT(waiting_.size() < kCallsMax);
  auto call = std::make_shared<Call>(
      Call{std::move(path), std::move(body), std::move(reply), answer_bytes_max, deadline, false});
  waiting_.push_back(call);
  if (!current_) start_next();
  return std::make_unique<Token>(std::move(call));
}

void Client::rotate() {
  endpoints_.forget(endpoint_);
  use(index_ + 1);
}

void Client::move_to(const std::string& endpoint) {
  if (endpoint == endpoint_) return;
  for (std::size_t i = 0; i < endpoints_.size(); ++i)
    if (endpoints_.at(i) == endpoint) return use(i);
}

void Client::use(std::size_t index) {
  index_ = index;
  // A token belongs to the server that made it; of a cluster, to all. Cheap to make another.
  if (endpoints_.at(index) != std::exchange(endpoint_, endpoints_.at(index))) token_.clear();
  if (current_ == nullptr)
    connection_.reset();
  else
    moved_ = true;
}

void Client::close() {
  waiting_.clear();
  current_.reset();
  start_.reset();
  connection_.reset();
}

void Client::start_next() {
  while (!waiting_.empty() && !waiting_.front()->reply)
    waiting_.pop_front();
  if (waiting_.empty()) return;
  current_ = std::move(waiting_.front());
  waiting_.pop_front();
  if (!connection_) {
    server_ = endpoint_;
    connection_ = connection();
  }
  if (!connection_) {
    start_ = env_.after(Duration::zero(), [this] {
      fail(Failure::Kind::unreachable, "only http:// and https:// URLs can be used");
    });
    return;
  }
  send();
}

void Client::send() {
  logging_in_ = !options_.user.empty() && token_.empty() && !without_login_;
  if (logging_in_) return send_login();
  connection_->send({.target = current_->path,
                     .headers = headers(),
                     .body = current_->body,
                     .deadlines = {std::min(kConnectMax, current_->deadline), current_->deadline,
                                   current_->deadline},
                     .repeatable = true},
                    *this);
}

void Client::send_login() {
  const auto password = load_text_file(options_.password_file);
  if (!password) {
    start_ = env_.after(Duration::zero(), [this, reason = password.error()] {
      fail(Failure::Kind::denied, options_.password_file + ": " + reason);
    });
    return;
  }
  connection_->send({.target = "/v3/auth/authenticate",
                     .headers = {{"Content-Type", "application/json"}},
                     .body = authenticate_request(options_.user, first_line(*password)),
                     .deadlines = {kConnectMax, kCallMax, kCallMax},
                     .repeatable = true},
                    *this);
}

void Client::on_head(int status, const http::Headers&) {
  status_ = status;
  body_.clear();
}

void Client::on_piece(std::string_view piece) {
  body_ += piece;
  if (body_.size() <= current_->bytes_max) return;
  connection_.reset();
  fail(Failure::Kind::too_long,
       "an answer of more than " + std::to_string(current_->bytes_max) + " bytes");
}

void Client::on_failed(const http::ClientError& error) {
  fail(Failure::Kind::unreachable, error.text);
}

void Client::on_complete() {
  if (logging_in_) return on_login();
  if (status_ == 200) {
    auto answer = read_answer(body_, current_->bytes_max);
    if (!answer)
      return fail(Failure::Kind::unreachable,
                  "an answer that cannot be read: " + body_.substr(0, 100));
    if (!is_of_cluster(*answer)) return;
    return finish(std::move(*answer));
  }
  if (auto failed = judge(read_refusal(status_, body_))) finish(failure(std::move(*failed)));
}

/// False, after failing the call: the server that the cluster named belongs to another one.
bool Client::is_of_cluster(const Answer& answer) {
  if (endpoints_.accepts(server_, answer.cluster_id)) return true;
  endpoints_.forget(server_);
  token_.clear();
  fail(Failure::Kind::unreachable, server_ + " belongs to another cluster");
  return false;
}

void Client::on_login() {
  if (status_ == 200) {
    const auto answer = read_answer(body_, kAnswerBytesMax);
    if (answer && !is_of_cluster(*answer)) return;
    token_ = answer ? answer->token : "";
    if (token_.empty() || !http::valid_header("Authorization", token_))
      return fail(Failure::Kind::denied, "the server gave no token");
    return send();
  }
  const Refusal refusal = read_refusal(status_, body_);
  if (refusal.code == kFailedPrecondition || contains(refusal.text, "not enabled")) {
    without_login_ = true;
    return send();
  }
  // A learned server may be of another cluster: only a configured one knows about the user.
  const bool wrong = endpoints_.is_configured(server_) &&
                     (refusal.code == kInvalidArgument || refusal.code == kPermissionDenied);
  fail(wrong ? Failure::Kind::denied : Failure::Kind::unreachable,
       "user " + options_.user + " cannot log in: " + refusal.text, refusal.code);
}

/// Nothing: the call is sent again, after another login.
std::optional<Failure> Client::judge(const Refusal& refusal) {
  const bool nameless =
      refusal.code == kInvalidArgument && contains(refusal.text, "user name is empty");
  if (refusal.code == kUnauthenticated || status_ == 401 || nameless) {
    if (!options_.user.empty() && !std::exchange(current_->again, true)) {
      token_.clear();
      without_login_ = false;
      send();
      return std::nullopt;
    }
    return Failure{Failure::Kind::denied, refusal.code,
                   nameless ? "the cluster wants a user" : refusal.text};
  }
  if (refusal.code == kPermissionDenied || status_ == 403)
    return Failure{Failure::Kind::denied, refusal.code, refusal.text};
  const bool elsewhere = refusal.code == kUnavailable || refusal.code == kUnknown ||
                         (refusal.code == 0 && status_ != kContentTooLarge) || status_ >= 500;
  return Failure{elsewhere ? Failure::Kind::unreachable : Failure::Kind::rejected, refusal.code,
                 refusal.text};
}

void Client::fail(Failure::Kind kind, std::string text, std::int64_t code) {
  // What is on its way would be taken for the answer to the next call.
  if (kind == Failure::Kind::unreachable) connection_.reset();
  finish(failure(Failure{kind, code, std::move(text)}));
}

void Client::finish(Result<Answer, Failure> result) {
  const std::shared_ptr<Call> call = std::exchange(current_, nullptr);
  if (std::exchange(moved_, false)) connection_.reset();
  body_ = {};
  // The next call starts later: the reply may go to another server first, and may destroy this.
  start_ = env_.after(Duration::zero(), [this] {
    if (!current_) start_next();
  });
  if (!call->reply) return;
  Reply reply = std::move(call->reply);
  reply(std::move(result));
}

}  // namespace outrider::registries::etcd
