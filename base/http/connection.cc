// SPDX-License-Identifier: Apache-2.0
#include "base/http/connection.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/http/refusal.h"

namespace outrider::http {
namespace {

/// Bytes handed to the stream at a time; the rest waits here, where it is not bounded by the
/// stream's own limit.
constexpr std::size_t kWriteBytes = 64U << 10;
/// Bytes written in one turn of the loop: a fast reader could keep it for long.
constexpr std::size_t kTurnWriteBytes = 64U << 10;
constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace

Connection::Connection(Env& env, Server& server, std::unique_ptr<Stream> stream)
    : env_(env),
      server_(server),
      stream_(std::move(stream)),
      parser_(server.options_.request_body_bytes_max) {
  server_.clients_.add(*this);
  peer_ = stream_->peer();
  caller_.unix_socket = std::holds_alternative<UnixPath>(server_.options_.on);
  caller_.credentials = stream_->peer_credentials();
  if (!caller_.unix_socket) caller_.address = to_string(peer_);
  const StreamAddress reached = stream_->local();
  if (const auto* local = std::get_if<Endpoint>(&reached)) caller_.local = *local;
}

Connection::~Connection() {
  forget_exchange();
  server_.clients_.remove(*this);
}

Standing Connection::current_standing() const {
  switch (phase_) {
    case Phase::lingering:
    case Phase::dropped:
      return Standing::closing;
    case Phase::waiting:
    case Phase::streaming:
      return Standing::waiting;
    case Phase::handling:
      return Standing::answering;
    case Phase::reading:
      break;
  }
  if (unread_bytes() > 0) return Standing::unfinished;
  if (next_) return Standing::answering;
  const bool asked_nothing = !parser_.in_message() && input_.empty();
  return served_ && asked_nothing ? Standing::idle : Standing::unfinished;
}

/// May evict this connection.
void Connection::settle() {
  if (const Standing now = current_standing(); now != standing_) {
    server_.move(*this, now);
    standing_ = now;
  }
  server_.clients_.set_queued(*this, unread_bytes() + kept_bytes());
}

std::size_t Connection::unread_bytes() const {
  return output_.size() - output_at_ + (stream_ != nullptr ? stream_->unsent_bytes() : 0);
}

/// Of requests.
std::size_t Connection::kept_bytes() const {
  return input_.size() + message_bytes_;
}

void Connection::start(Position position, bool refused) {
  position_ = position;
  stream_->start(*this);
  set_deadline(server_.request_timeout());
  if (refused) refuse(503, "too many requests are being answered; try again in a second");
}

// --- In ---------------------------------------------------------------------------------------

void Connection::on_data(Bytes data) {
  if (phase_ == Phase::lingering) return;
  input_ += as_text(data);
  if (is_http2_or_may_become()) {
    if (input_.size() >= kHttp2Preface.size()) return hand_over();
    return settle();
  }
  if (phase_ == Phase::reading) return read_requests();
  if (input_.size() > kPipelinedBytesMax) stream_->set_paused(true);
  settle();
}

bool Connection::is_http2_or_may_become() {
  if (http1_) return false;
  const std::size_t seen = std::min(input_.size(), kHttp2Preface.size());
  if (server_.options_.http2 == nullptr || kHttp2Preface.substr(0, seen) != input_.substr(0, seen))
    http1_ = true;
  return !http1_;
}

void Connection::hand_over() {
  Http2Acceptor& acceptor = *server_.options_.http2;
  std::unique_ptr<Stream> stream = std::move(stream_);
  const std::string received = std::move(input_);
  server_.drop(*this);  // destroys this
  acceptor.on_http2(std::move(stream), as_bytes(received));
}

void Connection::on_end() {
  peer_ended_ = true;
  switch (phase_) {
    case Phase::reading:
      // Requests that are not answered yet still are, and answers still go out: a peer may end
      // right after its last request.
      if (next_) return;
      [[fallthrough]];
    case Phase::lingering:
      if (unread_bytes() == 0) return server_.drop(*this);
      phase_ = Phase::lingering;
      return settle();
    case Phase::handling:
    case Phase::dropped:
      return;
    case Phase::waiting:
    case Phase::streaming:
      // A closed peer and one that only stopped sending look alike; a client that waits for an
      // answer keeps its side open.
      return disappear();
  }
}

void Connection::on_broken(NetError) {
  disappear();
}

void Connection::disappear() {
  Callback<void()> on_gone;
  if (link_ != nullptr) {
    link_->asker = nullptr;
    on_gone = std::move(link_->on_gone);
    link_.reset();
  }
  server_.drop(*this);  // destroys this
  if (on_gone) on_gone();
}

void Connection::read_requests() {
  in_turn_ = true;
  std::size_t at = 0;
  while (phase_ == Phase::reading && (next_ || read_request(at)) && may_take_request()) {
    started_message_ = continued_ = false;
    message_bytes_ = 0;
    Next next = std::move(*next_);
    next_.reset();
    take_request(std::move(next));
  }
  input_.erase(0, std::min(at, input_.size()));
  in_turn_ = false;
  after_requests();
}

/// From `input_`, from `at` on. False if the next request is not complete, or refused.
bool Connection::read_request(std::size_t& at) {
  if (at == input_.size()) return false;
  const auto taken = parser_.feed(as_bytes(std::string_view(input_).substr(at)));
  if (!taken) {
    ++server_.counters_.requests_malformed;
    refuse(status_of(taken.error()),
           explain_refusal(taken.error(), server_.options_.request_body_bytes_max));
    return false;
  }
  at += *taken;
  message_bytes_ += *taken;
  if (parser_.complete()) {
    prepare_next(parser_.take());
  } else if (parser_.awaits_continue() && !continued_) {
    continued_ = true;
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  return next_.has_value();
}

void Connection::prepare_next(Request request) {
  auto target = parse_target(request.target);
  if (!target) {
    ++server_.counters_.requests;
    ++server_.counters_.requests_malformed;
    head_request_ = request.method == "HEAD";
    return refuse(400, explain_refusal(target.error()));
  }
  const bool changes = is_changing(request.method, *target, server_.options_.guard);
  next_ = Next{std::move(request), std::move(*target), changes ? Work::changes : Work::reads};
}

/// Otherwise on_turn() or on_drained() looks at it again.
bool Connection::may_take_request() {
  if (unread_bytes() >= kUnreadBytesMax) write_some();
  if (unread_bytes() >= kUnreadBytesMax) return false;
  return server_.clients_.may_work(*this, next_->work);
}

void Connection::on_turn() {
  if (phase_ == Phase::reading) read_requests();
}

void Connection::after_requests() {
  const bool served_all = phase_ == Phase::reading && peer_ended_ && !next_;
  if (served_all) {
    phase_ = Phase::lingering;
  } else if (phase_ == Phase::reading && next_) {
    set_deadline(kStallTimeout);  // its turn comes long before, unless the client does not read
  } else if (phase_ == Phase::reading && !parser_.in_message()) {
    set_deadline(server_.idle_timeout());
  } else if (phase_ == Phase::reading && !started_message_) {
    started_message_ = true;  // the clock runs from the first byte, not from the last
    set_deadline(server_.request_timeout());
  }
  // Too far ahead of its answers. A departure is not noticed while paused; the wait of a blocking
  // query and the stall timeout of a stream are bounded anyway.
  if (phase_ != Phase::lingering) stream_->set_paused(input_.size() > kPipelinedBytesMax);
  flush();
  if (served_all && phase_ == Phase::lingering && unread_bytes() == 0) server_.drop(*this);
}

void Connection::take_request(Next next) {
  Request& raw = next.request;
  ++server_.counters_.requests;
  keep_alive_ = raw.keep_alive;
  head_request_ = raw.method == "HEAD";
  method_and_path_ = raw.method + " " + next.target.path;
  if (const auto refusal = guard(raw, next.target, caller_, server_.options_.guard)) {
    ++server_.counters_.requests_refused;
    env_.log.record(
        LogEvent::http_refused,
        {{"request", method_and_path_}, {"peer", caller_.address}, {"reason", refusal->why}});
    return refuse(refusal->status, refusal->why);
  }
  ServerRequest request;
  request.method = std::move(raw.method);
  request.path = next.target.path;
  request.target = std::move(next.target);
  request.headers = std::move(raw.headers);
  request.body = std::move(raw.body);
  request.caller = caller_;

  phase_ = Phase::handling;
  settle();  // also one that is answered at once goes to the end of the idle ones
  timer_.reset();
  link_ = std::make_shared<ExchangeLink>();
  link_->asker = this;
  server_.handler_.on_request(request, Exchange(link_));
}

// --- Out --------------------------------------------------------------------------------------

void Connection::refuse(int status, std::string_view why) {
  keep_alive_ = false;
  append_answer(server_.options_.refusal(status, why));
  linger();
}

void Connection::append_answer(const Answer& answer) {
  auto headers = answer.headers;
  headers.emplace_back("Content-Type", answer.content_type);
  headers.emplace_back("Cache-Control", "no-store");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  const std::string text = write_response(answer.status, headers, answer.body, keep_alive_);
  server_.clients_.charge(text.size());
  output_ += text;
  // The length is stated, the body is not sent (RFC 9110 §9.3.2).
  if (head_request_) output_.resize(output_.size() - answer.body.size());
}

void Connection::answer(Answer&& answer) {
  OUTRIDER_ASSERT(phase_ == Phase::handling || phase_ == Phase::waiting);
  forget_exchange();
  const std::int64_t pid = caller_.credentials ? caller_.credentials->pid : 0;
  const std::uint32_t uid = caller_.credentials ? caller_.credentials->uid : 0;
  env_.log.record(LogEvent::http_answered, {{"request", method_and_path_},
                                            {"status", answer.status},
                                            {"pid", pid},
                                            {"uid", uid},
                                            {"peer", caller_.address}});
  append_answer(answer);
  phase_ = Phase::reading;
  served_ = true;
  if (!keep_alive_) return linger();
  set_deadline(server_.idle_timeout());
  if (in_turn_) return;
  // Answered later, perhaps from within a loop over waiters: what the client sent ahead is parsed
  // in the next turn.
  resume_ = env_.after(Duration::zero(), [this] {
    if (phase_ == Phase::reading) read_requests();
  });
  flush();
}

bool Connection::can_wait() const {
  return server_.waiter_count() < server_.options_.waiters_max;
}

void Connection::begin_wait() {
  phase_ = Phase::waiting;
  settle();
  // It ended its side before its turn came: as in on_end().
  if (peer_ended_) resume_ = env_.after(Duration::zero(), [this] { disappear(); });
}

/// The client has to come back anyway, so its place is not kept.
void Connection::refuse_wait() {
  keep_alive_ = false;
  Answer refusal =
      server_.options_.refusal(503, "too many clients are waiting; try again in a second");
  refusal.headers = {{"Retry-After", "1"}};
  answer(std::move(refusal));
}

void Connection::begin_stream(StreamForm form) {
  OUTRIDER_ASSERT(phase_ == Phase::waiting);
  phase_ = Phase::streaming;
  keep_alive_ = false;
  env_.log.record(LogEvent::http_stream_opened,
                  {{"request", method_and_path_}, {"peer", caller_.address}});
  form_ = form;
  // Without chunks the stream ends with the connection (RFC 9112 §6.3).
  output_ += "HTTP/1.1 200 OK\r\nContent-Type: ";
  output_ += form_.content_type;
  if (form_.chunked) output_ += "\r\nTransfer-Encoding: chunked";
  output_ +=
      "\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
  if (!in_turn_) flush();
}

bool Connection::send_events(std::string_view text) {
  // The first thing sent is a snapshot, as large as it has to be.
  const std::size_t queued = unread_bytes();
  if (!snapshot_bytes_) snapshot_bytes_ = text.size();
  if (queued > 0 && queued + text.size() > kStreamQueueBytesMax + *snapshot_bytes_) {
    ++server_.counters_.streams_lagged;
    forget_exchange();
    append_piece(form_.lagged);
    if (form_.chunked) output_ += kLastChunk;
    linger();
    return false;
  }
  append_piece(text);
  server_.clients_.charge(text.size());
  if (!in_turn_) flush();
  return phase_ == Phase::streaming;
}

/// Of a stream.
void Connection::append_piece(std::string_view text) {
  if (!form_.chunked) {
    output_ += text;
    return;
  }
  if (text.empty()) return;  // would be the end
  std::array<char, 16> size{};
  const auto end = std::to_chars(size.data(), size.data() + size.size(), text.size(), 16).ptr;
  output_.append(size.data(), end);
  output_ += "\r\n";
  output_ += text;
  output_ += "\r\n";
}

void Connection::end_stream() {
  forget_exchange();
  if (form_.chunked) output_ += kLastChunk;
  linger();
}

void Connection::forget_exchange() {
  if (link_ == nullptr) return;
  link_->asker = nullptr;
  link_.reset();
}

/// May evict this connection.
void Connection::flush() {
  if (phase_ == Phase::dropped) return;
  write_some();
  if (output_at_ == output_.size()) {
    output_.clear();
    output_at_ = 0;
    if (output_.capacity() > kWriteBytes) output_.shrink_to_fit();
    if (phase_ == Phase::lingering) stream_->finish();
  } else if (2 * output_at_ > output_.size()) {
    output_.erase(0, std::exchange(output_at_, 0));
    output_.shrink_to_fit();
  }
  if (stream_->unsent_bytes() > 0) set_deadline(kStallTimeout);
  settle();
}

void Connection::write_some() {
  std::size_t written = 0;
  while (output_at_ < output_.size() && stream_->unsent_bytes() < kWriteBytes) {
    if (written >= kTurnWriteBytes) {
      write_ = env_.after(Duration::zero(), [this] { on_drained(); });
      return;
    }
    const std::string_view piece = std::string_view(output_).substr(output_at_, kWriteBytes);
    if (!stream_->write(as_bytes(piece))) return;  // broken: on_broken follows
    output_at_ += piece.size();
    written += piece.size();
  }
}

/// Called by Clients, perhaps while another connection works.
bool Connection::on_evicted() {
  if (in_turn_ || phase_ == Phase::dropped) return false;
  ++server_.counters_.clients_lagged;
  env_.log.record(
      LogEvent::http_client_lagged,
      {{"request", method_and_path_}, {"peer", caller_.address}, {"bytes", unread_bytes()}});
  if (link_ != nullptr) link_->asker = nullptr;
  phase_ = Phase::dropped;
  output_ = {};
  output_at_ = 0;
  input_ = {};
  next_.reset();
  message_bytes_ = 0;
  stream_.reset();
  write_.reset();
  timer_.reset();
  resume_ = env_.after(Duration::zero(), [this] { end_eviction(); });
  server_.move(*this, Standing::closing);
  standing_ = Standing::closing;
  return true;
}

/// The holder of the exchange or stream may have let go of it since; if not, it hears of the end.
void Connection::end_eviction() {
  const std::shared_ptr<ExchangeLink> link = std::move(link_);
  server_.drop(*this);  // destroys this
  if (link == nullptr || link.use_count() == 1) return;
  if (auto on_gone = std::move(link->on_gone)) on_gone();
}

void Connection::on_drained() {
  flush();
  if (phase_ == Phase::dropped || unread_bytes() > 0) return;
  switch (phase_) {
    case Phase::reading:
      set_deadline(parser_.in_message() ? server_.request_timeout() : server_.idle_timeout());
      if (next_) read_requests();  // it was held back until its client has read
      return;
    case Phase::dropped:
      return;
    case Phase::handling:
    case Phase::waiting:
    case Phase::streaming:
      snapshot_bytes_ = 0;
      timer_.reset();
      return tell_read();
    case Phase::lingering:
      if (peer_ended_) return server_.drop(*this);
      return set_deadline(kLinger);
  }
}

/// May destroy this.
void Connection::tell_read() {
  const std::shared_ptr<ExchangeLink> link = link_;
  if (link == nullptr || !link->on_read) return;
  auto on_read = std::move(link->on_read);
  link->on_read = nullptr;
  on_read();
  if (!link->on_read) link->on_read = std::move(on_read);
}

/// A close with unread input is a reset, and a reset can overtake the answer: so we finish our side
/// and read on until the peer finishes its own (RFC 9112 §9.6).
void Connection::linger() {
  phase_ = Phase::lingering;
  input_.clear();
  next_.reset();
  message_bytes_ = 0;
  if (stream_ == nullptr) return;
  stream_->set_paused(false);
  set_deadline(peer_ended_ ? Duration::zero() : kLinger);
  if (!in_turn_) flush();
}

// --- Bookkeeping ------------------------------------------------------------------------------

/// Deadlines mostly move back, so an armed timer that is due earlier is left alone and looks again.
void Connection::set_deadline(Duration delay) {
  deadline_ = env_.now() + delay;
  if (timer_.pending() && timer_.due() <= deadline_) return;
  timer_ = env_.timers.at(deadline_, [this] { on_deadline(); });
}

void Connection::on_deadline() {
  if (env_.now() < deadline_) {
    timer_ = env_.timers.at(deadline_, [this] { on_deadline(); });
    return;
  }
  if (phase_ == Phase::reading && parser_.in_message() && unread_bytes() == 0)
    return refuse(408, "the request did not arrive in time");
  disappear();
}

}  // namespace outrider::http
