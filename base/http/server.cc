// SPDX-License-Identifier: Apache-2.0
#include "base/http/server.h"

#include <iterator>

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
  if (alive()) link_->asker->end_stream();
}

bool EventStream::alive() const {
  return link_ != nullptr && link_->asker != nullptr;
}

bool EventStream::send(std::string_view text) {
  return alive() && link_->asker->send_events(text);
}

Exchange& Exchange::operator=(Exchange&& other) noexcept {
  std::swap(link_, other.link_);
  std::swap(gate_, other.gate_);
  return *this;
}

Exchange::~Exchange() {
  if (alive()) link_->asker->answer({500, "\"no answer\"\n", "application/json", {}});
}

bool Exchange::alive() const {
  return link_ != nullptr && link_->asker != nullptr;
}

void Exchange::answer(Answer answer) {
  if (auto gate = std::move(gate_)) return gate(std::move(*this), std::move(answer));
  if (alive()) link_->asker->answer(std::move(answer));
}

bool Exchange::can_wait() const {
  return alive() && link_->asker->can_wait();
}

bool Exchange::is_hurried() const {
  return alive() && link_->asker->is_hurried();
}

bool Exchange::wait(Callback<void()> on_gone) {
  if (!alive()) return false;
  if (!link_->asker->can_wait()) {
    link_->asker->refuse_wait();
    return false;
  }
  link_->asker->begin_wait();
  link_->on_gone = std::move(on_gone);
  return true;
}

std::size_t EventStream::unread_bytes() const {
  return alive() ? link_->asker->unread_bytes() : 0;
}

void EventStream::on_read(Callback<void()> callback) {
  if (alive()) link_->on_read = std::move(callback);
}

EventStream Exchange::begin_stream(StreamForm form) {
  if (alive()) link_->asker->begin_stream(form);
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
  for (const Connections& list : connections_)
    for (const auto& connection : list)
      connection->forget_exchange();
  connections_ = {};
}

std::size_t Server::connection_count() const {
  std::size_t count = 0;
  for (const Connections& list : connections_)
    count += list.size();
  return count;
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
  std::size_t count = 0;
  for (const Connections& list : connections_)
    for (const auto& connection : list)
      count += same_source(connection->peer(), peer) ? 1 : 0;
  return count >= kPublicConnectionsPerSource;
}

bool Server::is_full() const {
  const std::size_t max =
      options_.guard.public_reading ? kPublicConnectionsMax : options_.connections_max;
  return connection_count() - connections(Standing::closing).size() >= max;
}

bool Server::make_room(std::size_t unfinished_kept) {
  for (const Standing standing : {Standing::idle, Standing::unfinished}) {
    const std::size_t kept = standing == Standing::unfinished ? unfinished_kept : 0;
    if (connections(standing).size() <= kept) continue;
    ++counters_.connections_evicted;
    drop(*connections(standing).front());
    return true;
  }
  return false;
}

Result<void, NetError> Server::start() {
  if (const auto* endpoint = std::get_if<Endpoint>(&options_.on);
      endpoint != nullptr && !endpoint->address.is_loopback() && !options_.guard.public_reading) {
    return failure(NetError::not_available);
  }
  ListenOptions listen;
  listen.on = options_.on;
  listen.mode = options_.mode;
  listen.backlog = kBacklog;
  auto listener = env_.network.listen(listen, *this);
  if (!listener) return failure(listener.error());
  listener_ = std::move(*listener);
  return {};
}

StreamAddress Server::local() const {
  return listener_ != nullptr ? listener_->local() : options_.on;
}

void Server::on_accept(std::unique_ptr<Stream> stream) {
  take(std::move(stream));
}

void Server::adopt(std::unique_ptr<Stream> stream, Bytes read) {
  stream->set_paused(false);
  if (Connection* connection = take(std::move(stream))) connection->receive(read);
}

/// Null if it is not served.
Connection* Server::take(std::unique_ptr<Stream> stream) {
  ++counters_.connections;
  if (is_beyond_share(stream->peer())) {
    ++counters_.connections_refused;
    return nullptr;
  }
  while (connections(Standing::closing).size() >= kClosingMax)
    drop(*connections(Standing::closing).front());
  const bool refused = is_full() && !make_room();
  if (refused) ++counters_.connections_refused;
  Connections& list = connections(Standing::unfinished);
  list.push_back(std::make_unique<Connection>(env_, *this, std::move(stream)));
  Connection* const connection = list.back().get();
  connection->start(std::prev(list.end()), refused);
  return connection;
}

/// Clients that come and go need a descriptor only for a moment; those that wait have taken the
/// rest. The one that came last may have been taken with the last descriptor, and is answered.
void Server::on_accept_error(NetError error) {
  env_.log.record(LogEvent::http_accept_failed, {{"reason", to_string(error)}});
  if (error != NetError::no_resources) return;
  for (std::size_t i = 0; i < kMadeRoomMax; ++i) {
    if (make_room(1)) continue;
    if (connections(Standing::waiting).empty()) return;
    ++counters_.connections_evicted;
    connections(Standing::waiting).front()->disappear();
  }
}

void Server::drop(Connection& connection) {
  connections(connection.standing()).erase(connection.position());
}

void Server::move(Connection& connection, Standing to) {
  Connections& list = connections(to);
  list.splice(list.end(), connections(connection.standing()), connection.position());
}

}  // namespace outrider::http
