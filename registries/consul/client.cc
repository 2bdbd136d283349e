// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/client.h"

#include "base/text.h"
#include "base/text_file.h"

namespace outrider::registries::consul {
namespace {

constexpr const char* kTokenHeader = "X-Consul-Token";
constexpr int kForbidden = 403;

}  // namespace

Client::Client(Env& env, const Options& options, NameLookup* names)
    : env_(env), options_(options), names_(names) {}

Client::~Client() = default;

Result<std::string, std::string> Client::load_token() const {
  if (options_.token_file.empty()) return "";
  const auto text = load_text_file(options_.token_file);
  if (!text) return failure(options_.token_file + ": " + text.error());
  const std::string_view token = first_line(*text);
  if (token.empty() || !http::valid_header(kTokenHeader, token))
    return failure(options_.token_file + ": its first line is no token");
  return std::string(token);
}

void Client::call(Call call, Reply reply) {
  OUTRIDER_ASSERT(!is_busy());
  call_ = std::move(call);
  reply_ = std::move(reply);
  again_ = false;
  if (!connection_) {
    auto token = load_token();
    if (!token) return fail_later({Failure::Kind::denied, 0, std::move(token.error())});
    token_ = std::move(*token);
    connection_ = http::connection_to(env_, options_.address, options_.tls, names_);
  }
  if (!connection_)
    return fail_later(
        {Failure::Kind::unreachable, 0, "only http:// and https:// URLs can be used"});
  send();
}

void Client::close() {
  reply_ = nullptr;
  later_.reset();
  connection_.reset();
}

void Client::send() {
  std::vector<std::pair<std::string, std::string>> headers;
  if (!call_.body.empty()) headers.emplace_back("Content-Type", "application/json");
  if (!token_.empty()) headers.emplace_back(kTokenHeader, token_);
  connection_->send({.method = call_.method,
                     .target = call_.target,
                     .headers = std::move(headers),
                     .body = call_.body,
                     .deadlines = {kConnectMax, call_.answer_max, kCallMax},
                     .repeatable = call_.repeatable},
                    *this);
}

void Client::on_head(int status, const http::Headers& headers) {
  status_ = status;
  bytes_ = 0;
  answer_ = {};
  answer_.index = read_index(headers.get("X-Consul-Index"));
  answer_.filtered = headers.get("X-Consul-Results-Filtered-By-ACLs") == "true";
}

void Client::on_piece(std::string_view piece) {
  bytes_ += piece.size();
  if (bytes_ <= call_.bytes_max) {
    if (status_ == 200 && call_.on_piece)
      call_.on_piece(piece);
    else
      answer_.body += piece;
    return;
  }
  connection_.reset();
  fail({Failure::Kind::refused, status_,
        "an answer of more than " + std::to_string(call_.bytes_max) + " bytes"});
}

void Client::on_complete() {
  if (status_ == 200) return finish(std::move(answer_));
  const std::string text = read_refusal(status_, answer_.body);
  if (status_ != kForbidden)
    return fail(
        {status_ >= 500 ? Failure::Kind::unreachable : Failure::Kind::refused, status_, text});
  if (auto token = load_token(); token && *token != token_ && !std::exchange(again_, true)) {
    token_ = std::move(*token);
    return send();
  }
  fail({Failure::Kind::denied, status_, text});
}

void Client::on_failed(const http::ClientError& error) {
  fail({Failure::Kind::unreachable, 0, error.text});
}

void Client::fail(Failure failure_) {
  // The token is read again when a connection is made.
  if (failure_.status == 0) connection_.reset();
  finish(failure(std::move(failure_)));
}

void Client::fail_later(Failure failure) {
  later_ = env_.after(Duration::zero(), [this, failure] { fail(failure); });
}

void Client::finish(Result<Answer, Failure> result) {
  answer_ = {};
  Reply reply = std::move(reply_);
  reply_ = nullptr;
  reply(std::move(result));
}

}  // namespace outrider::registries::consul
