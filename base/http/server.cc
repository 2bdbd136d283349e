// SPDX-License-Identifier: Apache-2.0
#include "base/http/server.h"

#include <algorithm>
#include <limits>

#include "base/http/connection.h"

namespace outrider::http {

EventStream& EventStream::operator=(EventStream&& other) noexcept {
  std::swap(link_, other.link_);
  return *this;
}

EventStream::~EventStream() {
  if (alive()) link_->connection->end_stream();
}

bool EventStream::alive() const {
  return link_ != nullptr && link_->connection != nullptr;
}

bool EventStream::send(std::string_view text) {
  return alive() && link_->connection->send_events(text);
}

Exchange& Exchange::operator=(Exchange&& other) noexcept {
  std::swap(link_, other.link_);
  return *this;
}

Exchange::~Exchange() {
  if (alive()) answer({500, "\"no answer\"\n", "application/json", {}});
}

bool Exchange::alive() const {
  return link_ != nullptr && link_->connection != nullptr;
}

void Exchange::answer(Answer answer) {
  if (alive()) link_->connection->answer(answer);
}

bool Exchange::wait(Callback<void()> on_gone) {
  if (!alive()) return false;
  if (!link_->connection->begin_wait()) {
    Answer refusal = error_answer(503, "too many clients are waiting");
    refusal.headers = {{"Retry-After", "1"}};
    link_->connection->answer(refusal);
    return false;
  }
  link_->on_gone = std::move(on_gone);
  return true;
}

EventStream Exchange::begin_stream() {
  if (alive()) link_->connection->begin_stream();
  return EventStream(std::move(link_));
}

Server::Server(Env& env, ServerOptions options, Handler& handler)
    : env_(env), options_(std::move(options)), handler_(handler) {}

Server::~Server() {
  listener_.reset();
  // No callbacks: the holders of exchanges are being destroyed as well.
  for (const auto& connection : connections_)
    connection->forget_exchange();
}

Result<void, NetError> Server::start() {
  if (const auto* endpoint = std::get_if<Endpoint>(&options_.on);
      endpoint != nullptr && !endpoint->address.is_loopback() && !options_.guard.public_reading) {
    return failure(NetError::not_available);
  }
  ListenOptions listen;
  listen.on = options_.on;
  listen.mode = options_.mode;
  auto listener = env_.network.listen(listen, *this);
  if (!listener) return failure(listener.error());
  listener_ = std::move(*listener);
  return {};
}

StreamAddress Server::local() const {
  return listener_ != nullptr ? listener_->local() : options_.on;
}

void Server::on_accept(std::unique_ptr<Stream> stream) {
  ++counters_.connections;
  const bool full = busy_ >= kConnectionsMax;
  if (full) {
    ++counters_.connections_refused;
    if (refusals_ >= kRefusalsMax) return;
  }
  connections_.push_back(std::make_unique<Connection>(env_, *this, std::move(stream), full));
  connections_.back()->start(std::prev(connections_.end()));
}

void Server::on_accept_error(NetError error) {
  env_.log.record(LogEvent::http_accept_failed, {{"reason", to_string(error)}});
}

void Server::drop(Connection& connection) {
  connections_.erase(connection.position());
}

}  // namespace outrider::http
