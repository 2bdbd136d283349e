// SPDX-License-Identifier: Apache-2.0
#include "base/http2/grpc.h"

#include <charconv>

#include "base/http2/grpc_call.h"
#include "base/text.h"
#include "base/utf8.h"

namespace outrider::grpc {
namespace {

/// A request that is not gRPC. The answer waits for the end of a body that is not long: an earlier
/// one is followed by RST_STREAM, with which some clients drop it (curl 7.88).
class Refusal final : public http2::Receiver {
 public:
  Refusal(http2::Responder& responder, int status, std::string_view why, bool wants_body)
      : responder_(responder), status_(status), why_(why), wants_body_(wants_body) {}
  void on_data(Bytes data) override {
    received_ += data.size();
    responder_.consume(data.size());
    if (received_ > kRefusedBodyBytesMax) answer();
  }
  void on_end() override { answer(); }
  void on_turn() override {}
  void on_drained() override {}

 private:
  void answer() {
    if (responder_.begun()) return;
    if (!wants_body_) return responder_.respond(status_, {});
    responder_.begin(status_, {{"content-type", "text/plain"}});
    responder_.send(why_);
    responder_.finish({});
  }

  http2::Responder& responder_;
  const int status_;
  const std::string_view why_;
  const bool wants_body_;
  std::size_t received_ = 0;
};

/// `why` lives as long as the program.
std::unique_ptr<http2::Receiver> refuse(const http2::RequestHead& head, http2::Responder& responder,
                                        int status, std::string_view why) {
  return std::make_unique<Refusal>(responder, status, why, head.method != "HEAD");
}

/// "application/grpc", "application/grpc+proto", "application/grpc;…"
bool is_grpc(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  if (!content_type.starts_with(kType)) return false;
  const std::string_view rest = content_type.substr(kType.size());
  return rest.empty() || rest.starts_with(';') || rest == "+proto" || rest.starts_with("+proto;");
}

}  // namespace

std::string encode_status_text(std::string_view text) {
  return percent_encode(cut_text(text, kStatusTextBytesMax),
                        [](char c) { return c >= ' ' && c <= '~' && c != '%'; });
}

std::optional<Duration> parse_timeout(std::string_view text) {
  constexpr std::size_t kDigitsMax = 8;
  if (text.size() < 2 || text.size() > kDigitsMax + 1) return std::nullopt;
  std::int64_t count = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [stopped, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || stopped != end || count < 0) return std::nullopt;
  switch (*end) {
    case 'H':
      return std::chrono::hours(count);
    case 'M':
      return std::chrono::minutes(count);
    case 'S':
      return std::chrono::seconds(count);
    case 'm':
      return std::chrono::milliseconds(count);
    case 'u':
      return std::chrono::microseconds(count);
    case 'n':
      return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(count));
    default:  // no unit of the protocol
      return std::nullopt;
  }
}

// --- Reply and StreamWriter -------------------------------------------------------------------

Reply& Reply::operator=(Reply&& other) noexcept {
  std::swap(link_, other.link_);
  return *this;
}

Reply::~Reply() {
  if (alive()) link_->call->finish({Code::internal, "the call was not answered"});
}

bool Reply::alive() const {
  return link_ != nullptr && link_->call != nullptr;
}

void Reply::answer(std::string_view message) {
  if (!alive()) return;
  link_->call->send(message);
  link_->call->finish({});
}

void Reply::fail(Status status) {
  if (alive()) link_->call->finish(std::move(status));
}

StreamWriter& StreamWriter::operator=(StreamWriter&& other) noexcept {
  std::swap(link_, other.link_);
  return *this;
}

StreamWriter::~StreamWriter() {
  finish({});
}

bool StreamWriter::alive() const {
  return link_ != nullptr && link_->call != nullptr;
}

bool StreamWriter::send(std::string_view message) {
  return alive() && link_->call->send(message);
}

void StreamWriter::finish(Status status) {
  if (alive()) link_->call->finish(std::move(status));
}

// --- Server -----------------------------------------------------------------------------------

std::unique_ptr<http2::Receiver> Server::on_request(const http2::RequestHead& head,
                                                    http2::Responder& responder) {
  if (!is_grpc(head.headers.get("content-type")))
    return refuse(head, responder, 415,
                  "only gRPC (content-type: application/grpc) is served over HTTP/2; "
                  "use HTTP/1.1 for JSON\n");
  if (head.method != "POST") return refuse(head, responder, 405, "gRPC calls are POST requests\n");
  const Method* method = service_.find(head.path);
  auto call = std::make_unique<Call>(*this, method, head, responder);
  call->begin();
  return call;
}

void Server::stop(std::string why) {
  stopped_ = std::move(why);
  for (Call* call : calls_)
    call->on_stop();
}

}  // namespace outrider::grpc
