// SPDX-License-Identifier: Apache-2.0
#include "base/http/server.h"

#include <algorithm>
#include <limits>

#include "base/http/connection.h"

namespace outrider::http {
namespace {

/// A host can take any address of its IPv6 subnet, while the link-local one is everybody's.
bool same_source(const StreamAddress& a, const StreamAddress& b) {
  const auto* left = std::get_if<Endpoint>(&a);
  const auto* right = std::get_if<Endpoint>(&b);
  if (left == nullptr || right == nullptr) return false;
  constexpr std::uint8_t kSubnetBits = 64;
  if (left->address.is_v6() && !left->address.is_link_local())
    return Prefix{left->address, kSubnetBits}.contains(right->address);
  return left->address == right->address;
}

}  // namespace

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
  std::swap(gate_, other.gate_);
  return *this;
}

Exchange::~Exchange() {
  if (alive()) link_->connection->answer({500, "\"no answer\"\n", "application/json", {}});
}

bool Exchange::alive() const {
  return link_ != nullptr && link_->connection != nullptr;
}

void Exchange::answer(Answer answer) {
  if (auto gate = std::move(gate_)) return gate(std::move(*this), std::move(answer));
  if (alive()) link_->connection->answer(answer);
}

bool Exchange::can_wait() const {
  return alive() && link_->connection->can_wait();
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
    : env_(env),
      options_(std::move(options)),
      own_clients_(options_.clients == nullptr ? std::make_unique<Clients>(env) : nullptr),
      clients_(own_clients_ != nullptr ? *own_clients_ : *options_.clients),
      handler_(handler) {}

Server::~Server() {
  listener_.reset();
  // No callbacks: the holders of exchanges are being destroyed as well.
  for (const auto& connection : connections_)
    connection->forget_exchange();
  connections_.clear();
}

Duration Server::request_timeout() const {
  return options_.guard.public_reading ? kPublicRequestTimeout : kRequestTimeout;
}

Duration Server::idle_timeout() const {
  return options_.guard.public_reading ? kPublicIdleTimeout : kIdleTimeout;
}

/// One host of the LAN must not take the port from the others.
bool Server::is_beyond_share(const StreamAddress& peer) const {
  if (!options_.guard.public_reading) return false;
  const auto count =
      std::count_if(connections_.begin(), connections_.end(),
                    [&](const auto& connection) { return same_source(connection->peer(), peer); });
  return static_cast<std::size_t>(count) >= kPublicConnectionsPerSource;
}

bool Server::make_room() {
  Connection* longest = nullptr;
  for (const auto& connection : connections_)
    if (connection->is_idle() && (longest == nullptr || connection->since() < longest->since()))
      longest = connection.get();
  if (longest == nullptr) return false;
  ++counters_.connections_evicted;
  drop(*longest);
  return true;
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
  if (is_beyond_share(stream->peer())) {
    ++counters_.connections_refused;
    return;
  }
  const bool full = busy_ >= kConnectionsMax && !make_room();
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
