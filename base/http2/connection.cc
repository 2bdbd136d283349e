// SPDX-License-Identifier: Apache-2.0
#include "base/http2/connection.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::http2 {
namespace {

/// Octets handed to the stream at a time, beyond which the rest waits in the session; and those
/// that are written in one turn of the loop, since a fast reader could keep it for long.
constexpr std::size_t kWriteBytes = 64U << 10;
constexpr std::size_t kTurnWriteBytes = 64U << 10;
/// Octets that are read at a time, and requests after which the rest is left for the next turn:
/// also to refuse them takes time.
constexpr std::size_t kReadBytes = 1U << 10;
constexpr std::size_t kTurnRequestsMax = 64;

}  // namespace

// --- Responder --------------------------------------------------------------------------------

void Responder::respond(int status, const HeaderList& headers) {
  if (std::exchange(begun_, true) || connection_.phase_ != Connection::Phase::open) return;
  finished_ = true;
  connection_.session_->respond(id_, status, headers, Session::Body::none);
  connection_.flush_soon();
}

void Responder::begin(int status, const HeaderList& headers) {
  if (std::exchange(begun_, true) || connection_.phase_ != Connection::Phase::open) return;
  connection_.session_->respond(id_, status, headers, Session::Body::follows);
  connection_.flush_soon();
}

void Responder::send(std::string_view bytes) {
  OUTRIDER_ASSERT(begun_);
  if (finished_ || connection_.phase_ != Connection::Phase::open) return;
  body_ += bytes;
  connection_.add_unsent(bytes.size());
  connection_.session_->resume(id_);
  connection_.flush_soon();
}

void Responder::finish(HeaderList trailers) {
  OUTRIDER_ASSERT(begun_);
  if (std::exchange(finished_, true) || connection_.phase_ != Connection::Phase::open) return;
  trailers_ = std::move(trailers);
  connection_.session_->resume(id_);
  connection_.flush_soon();
}

void Responder::reset(ErrorCode code) {
  if (connection_.phase_ != Connection::Phase::open) return;
  begun_ = finished_ = true;
  connection_.body_bytes_ -= unsent_bytes();
  body_ = {};
  body_at_ = 0;
  connection_.session_->reset(id_, code);
  connection_.flush_soon();
}

void Responder::consume(std::size_t bytes) {
  bytes = std::min(bytes, unconsumed_);
  if (bytes == 0 || connection_.phase_ != Connection::Phase::open) return;
  unconsumed_ -= bytes;
  connection_.session_->consume(id_, bytes);
}

bool Responder::keep(std::size_t bytes) {
  connection_.kept_bytes_ += bytes;
  connection_.kept_bytes_ -= std::exchange(kept_, bytes);
  return connection_.kept_bytes_ <= kKeptBytesMax;
}

void Responder::want_turn(http::Work work) {
  if (connection_.phase_ != Connection::Phase::open || std::exchange(wants_turn_, true)) return;
  work_ = work;
  connection_.ready_.push_back(this);
  connection_.flush_soon();
}

const StreamAddress& Responder::local() const {
  return connection_.local_;
}

const StreamAddress& Responder::peer() const {
  return connection_.peer_;
}

// --- Connection -------------------------------------------------------------------------------

Connection::Connection(Env& env, Server& server, std::unique_ptr<Stream> stream)
    : env_(env),
      server_(server),
      stream_(std::move(stream)),
      local_(stream_->local()),
      peer_(stream_->peer()),
      heard_(env.now()),
      moved_(env.now()) {
  server_.clients_.add(*this);
}

Connection::~Connection() {
  phase_ = Phase::dropped;  // what receivers still do on their way out has no effect
  ready_.clear();
  requests_.clear();
  server_.clients_.remove(*this);
}

bool Connection::start(Position position, Bytes received) {
  position_ = position;
  session_.reset(server_.library_.make_session(*this));
  if (session_ == nullptr) return false;
  stream_->start(*this);
  receive(received);
  return true;
}

void Connection::refuse_requests() {
  if (phase_ != Phase::open) return;
  session_->refuse_streams();
  flush_soon();
}

Connection::Request* Connection::find(StreamId id) {
  const auto at = requests_.find(id);
  return at == requests_.end() ? nullptr : &at->second;
}

std::size_t Connection::unsent_bytes() const {
  return body_bytes_ + (stream_ != nullptr ? stream_->unsent_bytes() : 0);
}

void Connection::add_unsent(std::size_t bytes) {
  if (unsent_bytes() == 0) moved_ = env_.now();
  body_bytes_ += bytes;
  server_.clients_.charge(bytes);
}

// --- In ---------------------------------------------------------------------------------------

void Connection::on_data(Bytes data) {
  if (phase_ == Phase::open) receive(data);
}

void Connection::on_end() {
  server_.drop(*this);
}

void Connection::on_broken(NetError) {
  server_.drop(*this);
}

void Connection::receive(Bytes data) {
  heard_ = env_.now();
  asked_ = false;
  input_ += as_text(data);
  go_on();
}

/// Some of what has arrived.
void Connection::read_input() {
  const std::uint64_t most = server_.counters_.requests + kTurnRequestsMax;
  std::size_t at = 0;
  while (at < input_.size() && server_.counters_.requests < most) {
    const Bytes next = as_bytes(input_).subspan(at, std::min(kReadBytes, input_.size() - at));
    if (!session_->receive(env_.now(), next)) {
      input_ = {};
      return;
    }
    at += next.size();
  }
  input_.erase(0, at);
}

void Connection::on_request(StreamId id, RequestHead head) {
  ++server_.counters_.requests;
  Request& request = requests_.try_emplace(id, *this, id).first->second;
  if (const std::string_view length = head.headers.get("content-length"); !length.empty()) {
    request.announced = parse_number<std::uint64_t>(length);
    if (!request.announced) return session_->reset(id, ErrorCode::protocol_error);
  }
  request.receiver = server_.handler_.on_request(head, request.responder);
}

void Connection::on_data(StreamId id, Bytes data) {
  Request* request = find(id);
  if (request != nullptr) request->received += data.size();
  if (request == nullptr || request->receiver == nullptr) return session_->consume(id, data.size());
  request->responder.unconsumed_ += data.size();
  request->receiver->on_data(data);
}

void Connection::on_end(StreamId id) {
  Request* request = find(id);
  if (request == nullptr) return;
  // RFC 9113 §8.1.1
  if (request->received != request->announced.value_or(request->received))
    return session_->reset(id, ErrorCode::protocol_error);
  if (request->receiver != nullptr) request->receiver->on_end();
}

void Connection::on_closed(StreamId id) {
  Request* request = find(id);
  if (request == nullptr) return;
  const std::size_t unconsumed = request->responder.unconsumed_;
  if (unconsumed > 0) session_->consume(id, unconsumed);
  forget(*request);
  requests_.erase(id);
  if (requests_.empty())  // to the end of those without a request
    server_.connections_.splice(server_.connections_.end(), server_.connections_, position_);
}

void Connection::forget(Request& request) {
  body_bytes_ -= request.responder.unsent_bytes();
  kept_bytes_ -= request.responder.kept_;
  if (request.responder.wants_turn_) ready_.remove(&request.responder);
}

/// Begins what is ready and has its turn.
void Connection::work() {
  busy_ = true;
  while (!ready_.empty() && !is_backed_up() &&
         server_.clients_.may_work(*this, ready_.front()->work_)) {
    Responder& next = *ready_.front();
    ready_.pop_front();
    next.wants_turn_ = false;
    find(next.id_)->receiver->on_turn();
  }
  held_back_ = !ready_.empty() && is_backed_up();
  busy_ = false;
}

void Connection::on_turn() {
  if (phase_ != Phase::open) return;
  work();
  flush_soon();  // with what further turns add
}

/// Reads on, works, and sends what there is. May evict this connection.
void Connection::go_on() {
  if (phase_ != Phase::open) return;
  busy_ = true;
  read_input();
  busy_ = false;
  work();
  flush();
}

// --- Out --------------------------------------------------------------------------------------

/// May evict this connection.
void Connection::flush() {
  if (phase_ != Phase::open) return;
  write_some();
  tell_drained();
  // Not to read on keeps the client's acknowledgements and window updates bounded as well.
  stream_->set_paused(stream_->unsent_bytes() >= kWriteBytes || !input_.empty());
  if (session_->finished()) end();
  if (!input_.empty() || (held_back_ && !is_backed_up())) flush_soon();
  set_deadline();
  settle();
}

void Connection::flush_soon() {
  if (busy_ || soon_.pending() || phase_ != Phase::open) return;
  soon_ = env_.after(Duration::zero(), [this] { go_on(); });
}

void Connection::write_some() {
  for (std::size_t written = 0; stream_->unsent_bytes() < kWriteBytes;) {
    if (written >= kTurnWriteBytes) return flush_soon();
    output_.clear();
    while (output_.size() < kWriteBytes) {
      const Bytes next = session_->next_output();
      if (next.empty()) break;
      output_ += as_text(next);
    }
    if (output_.empty()) break;
    if (!stream_->write(as_bytes(output_))) return;  // broken: on_broken follows
    moved_ = env_.now();
    written += output_.size();
  }
  output_ = {};
}

BodyPiece Connection::read_body(StreamId id, MutableBytes room) {
  Request* request = find(id);
  if (request == nullptr) return {.last = true};
  Responder& from = request->responder;
  BodyPiece piece;
  piece.size = std::min(room.size(), from.unsent_bytes());
  std::ranges::copy(as_bytes(from.body_).subspan(from.body_at_, piece.size), room.begin());
  from.body_at_ += piece.size;
  body_bytes_ -= piece.size;
  if (from.unsent_bytes() == 0) {
    from.body_ = {};
    from.body_at_ = 0;
    if (piece.size > 0 && !from.finished_) drained_.push_back(id);
  } else if (from.body_at_ > from.body_.size() / 2) {
    from.body_.erase(0, std::exchange(from.body_at_, 0));
  }
  piece.last = from.finished_ && from.unsent_bytes() == 0;
  if (piece.last && !from.trailers_.empty()) piece.trailers = &from.trailers_;
  return piece;
}

void Connection::tell_drained() {
  if (drained_.empty()) return;
  busy_ = true;
  for (const StreamId id : std::exchange(drained_, {})) {
    Request* request = find(id);
    if (request != nullptr && request->responder.unsent_bytes() == 0)
      request->receiver->on_drained();
  }
  busy_ = false;
  flush_soon();
}

void Connection::on_drained() {
  moved_ = env_.now();
  if (phase_ == Phase::ending) return settle();
  flush();
}

/// A close with unread input is a reset, and a reset can overtake our last octets: so we finish our
/// side and read on until the client finishes its own.
void Connection::end() {
  if (const std::string_view why = session_->violation(); !why.empty()) {
    ++server_.counters_.violations;
    env_.log.record(LogEvent::http2_violation, {{"peer", to_string(peer_)}, {"reason", why}});
  }
  phase_ = Phase::ending;
  ready_.clear();
  requests_.clear();
  session_.reset();
  input_ = {};
  body_bytes_ = kept_bytes_ = 0;
  moved_ = env_.now();
  stream_->set_paused(false);
  stream_->finish();
  server_.on_ending();
}

// --- Bookkeeping ------------------------------------------------------------------------------

/// May evict this connection.
void Connection::settle() {
  server_.clients_.set_queued(*this, unsent_bytes() + kept_bytes_ + input_.size());
}

void Connection::note_lag() {
  ++server_.counters_.clients_lagged;
  env_.log.record(LogEvent::http_client_lagged,
                  {{"request", "HTTP/2"}, {"peer", to_string(peer_)}, {"bytes", unsent_bytes()}});
}

/// Called by Clients, perhaps while another connection works.
bool Connection::on_evicted() {
  if (busy_ || phase_ == Phase::dropped) return false;
  note_lag();
  phase_ = Phase::dropped;
  for (auto& [id, request] : requests_)
    request.responder.body_ = {};
  body_bytes_ = 0;
  timer_.reset();
  stream_.reset();
  soon_ = env_.after(Duration::zero(), [this] { server_.drop(*this); });
  return true;
}

TimePoint Connection::deadline() const {
  if (phase_ == Phase::ending) return moved_ + kLinger;
  if (unsent_bytes() > 0) return moved_ + kStallTimeout;
  if (requests_.empty()) return std::max(heard_, moved_) + kIdleTimeout;
  return heard_ + kKeepAliveTime + (asked_ ? kKeepAliveTimeout : Duration::zero());
}

/// Deadlines mostly move back, so an armed timer that is due earlier is left alone and looks again.
void Connection::set_deadline() {
  const TimePoint due = deadline();
  if (timer_.pending() && timer_.due() <= due) return;
  timer_ = env_.timers.at(due, [this] { on_deadline(); });
}

void Connection::on_deadline() {
  if (env_.now() < deadline()) return set_deadline();
  if (phase_ == Phase::ending) return server_.drop(*this);
  if (unsent_bytes() > 0) {
    note_lag();
    return server_.drop(*this);
  }
  if (asked_) return server_.drop(*this);
  if (requests_.empty()) {
    session_->terminate(ErrorCode::no_error);
  } else {
    asked_ = true;
    session_->ping();
  }
  flush();
}

}  // namespace outrider::http2
