// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/bridge.h"

#include <algorithm>
#include <iterator>

#include "agent/bridge/connection.h"
#include "base/text.h"

namespace outrider::bridge {

Bridge::Bridge(Env& env, doors::Control& control, std::unique_ptr<Relays> relays, Options options)
    : env_(env),
      control_(control),
      relays_(std::move(relays)),
      options_(std::move(options)),
      targets_(env, control, options_.strategy, options_.locality) {}

Bridge::~Bridge() = default;

const std::vector<std::string>& Bridge::domains() {
  if (domains_.empty())
    for (const std::string& domain : control_.dns().domains)
      domains_.push_back(lowered(domain));
  return domains_;
}

/// Programs of this host share the limit of all.
bool Bridge::is_beyond_share(const IpAddress& client) const {
  const auto found = clients_.find(client);
  return found != clients_.end() && found->second >= kConnectionsPerClient;
}

void Bridge::accept(std::unique_ptr<Stream> client, Entrance entrance) {
  ++counters_.accepted;
  auto made = std::make_unique<Connection>(*this, std::move(client), entrance);
  const IpAddress& address = made->client_address();
  const bool greedy = is_beyond_share(address);
  if (!greedy && connection_count() >= options_.connections_max && !fresh_.empty()) {
    ++counters_.refused[5];
    drop(*fresh_.front());
  }
  const bool full = connection_count() >= options_.connections_max;
  if (connection_count() >= options_.connections_max + kRefusedMax) return;
  fresh_.push_back(std::move(made));
  Connection& connection = *fresh_.back();
  if (!address.is_loopback()) ++clients_[address];
  connection.start(std::prev(fresh_.end()));
  if (!idle_timer_.pending()) idle_timer_ = env_.after(kIdleLook, [this] { look_for_idle(); });
  if (full || greedy)
    connection.refuse(
        {.status = 503,
         .service = {},
         .why = full ? "the bridge has " + counted(options_.connections_max, "connection") +
                           ", and takes no more"
                     : "this client has " + counted(kConnectionsPerClient, "connection") +
                           " through the bridge, and gets no more",
         .lines = {}});
}

void Bridge::drop(Connection& connection) {
  const auto client = clients_.find(connection.client_address());
  if (client != clients_.end() && --client->second == 0) clients_.erase(client);
  (connection.is_fresh() ? fresh_ : connections_).erase(connection.position());
}

void Bridge::on_head(Connection& connection) {
  connections_.splice(connections_.end(), fresh_, connection.position());
}

void Bridge::give_to_page(Connection& connection) {
  ++counters_.pages;
  if (!page_)
    return connection.refuse({.status = 404,
                              .service = {},
                              .why = "services are reached as http://NAME.localhost here; there is "
                                     "no status page",
                              .lines = {}});
  std::unique_ptr<Stream> client = connection.take_client();
  const std::string head = connection.take_bytes();
  drop(connection);
  page_(std::move(client), as_bytes(head));
}

void Bridge::on_changes(const registry::Changes& changes) {
  targets_.forget();
  std::vector<std::string> critical;
  for (const registry::Change& change : changes.list)
    if (change.before && change.before->health != registry::Health::critical && change.kept() &&
        change.kept()->health == registry::Health::critical)
      critical.push_back(change.kept()->id.text());
  for (auto at = connections_.begin(); at != connections_.end();) {
    Connection& connection = **at;
    ++at;  // it may be dropped
    connection.on_changes(critical);
  }
}

void Bridge::look_for_idle() {
  for (auto at = connections_.begin(); at != connections_.end();) {
    Connection& connection = **at;
    ++at;
    if (!connection.is_idle_for_long()) continue;
    ++counters_.idle;
    drop(connection);
  }
  if (connection_count() > 0) idle_timer_ = env_.after(kIdleLook, [this] { look_for_idle(); });
}

std::uint64_t Bridge::bytes() const {
  std::uint64_t sum = counters_.bytes;
  for (const auto& connection : connections_)
    sum += connection->bytes();
  return sum;
}

void Bridge::write_status(json::Writer& out) const {
  out.member("connections", static_cast<std::uint64_t>(connection_count()));
  out.member("accepted", counters_.accepted).member("bridged", counters_.bridged);
  out.member("repeated", counters_.repeated).member("refused_by_client", counters_.refused[4]);
  out.member("refused_by_bridge", counters_.refused[5]).member("bytes", bytes());
}

void Bridge::write_metrics(doors::Metrics& out) const {
  out.gauge("outrider_bridge_connections", "Connections through the bridge now.",
            static_cast<double>(connection_count()));
  out.counter("outrider_bridge_accepted_total", "Connections that the bridge accepted.",
              counters_.accepted);
  out.counter("outrider_bridge_connected_total", "Connections that reached an instance.",
              counters_.bridged);
  out.counter("outrider_bridge_repeated_total",
              "Attempts after the first one of a connection failed.", counters_.repeated);
  for (const std::size_t digit : {std::size_t{4}, std::size_t{5}})
    out.counter("outrider_bridge_refused_total", "Connections that were refused, by status.",
                counters_.refused[digit], {{"status", std::to_string(digit) + "xx"}});
  out.counter("outrider_bridge_bytes_total", "Bytes that passed, both directions together.",
              bytes());
}

}  // namespace outrider::bridge
