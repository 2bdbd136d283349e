// SPDX-License-Identifier: Apache-2.0
#include "base/http2/server.h"

#include <algorithm>
#include <iterator>

#include "base/http2/connection.h"

namespace outrider::http2 {

Server::Server(Env& env, http::Clients& clients, const Library& library, Handler& handler)
    : env_(env), clients_(clients), library_(library), handler_(handler) {}

Server::~Server() = default;

void Server::on_http2(std::unique_ptr<Stream> stream, Bytes received) {
  ++counters_.connections;
  if (stopping_ || (connections_.size() >= kConnectionsMax && !make_room())) {
    ++counters_.connections_refused;
    return;
  }
  connections_.push_back(std::make_unique<Connection>(env_, *this, std::move(stream)));
  const auto position = std::prev(connections_.end());
  if (!(*position)->start(position, received)) drop(**position);
}

bool Server::make_room() {
  const auto idle = std::ranges::find_if(
      connections_, [](const auto& connection) { return !connection->has_requests(); });
  if (idle == connections_.end()) return false;
  ++counters_.connections_evicted;
  connections_.erase(idle);
  return true;
}

void Server::drop(Connection& connection) {
  connections_.erase(connection.position());
  on_ending();
}

void Server::stop(Callback<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  for (const auto& connection : connections_)
    connection->refuse_requests();
  stop_timer_ = env_.after(kDrainTime, [this] { end_stop(); });
  on_ending();
}

/// A connection has come to its end.
void Server::on_ending() {
  if (!stopped_) return;
  const bool all = std::ranges::all_of(
      connections_, [](const auto& connection) { return connection->is_ending(); });
  if (all) stop_timer_ = env_.after(Duration::zero(), [this] { end_stop(); });
}

void Server::end_stop() {
  connections_.clear();
  if (auto done = std::move(stopped_)) done();
}

}  // namespace outrider::http2
