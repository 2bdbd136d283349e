// SPDX-License-Identifier: Apache-2.0
// FARP as one part of the agent: the endpoints for the LAN, the schemas behind them, pushes to
// gateways, and the routes that a gateway would derive from the services on the link.
//
//   Changes ▸ apply ▸ SchemaFetcher, PushClient        GET /_farp/… ▸ http::Server ▸ Endpoints
//   mDNS sightings ▸ see ▸ ManifestReader ▸ routes     (only with farp.read)
//
// It listens while a registration has "farp". An address that cannot be bound is tried again.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/farp/endpoints.h"
#include "agent/farp/manifest_reader.h"
#include "agent/farp/push.h"
#include "agent/farp/routes.h"
#include "agent/farp/schema_fetcher.h"
#include "agent/farp/txt_writer.h"
#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"
#include "base/http/server.h"
#include "mdns/provider.h"

namespace outrider {

/// What `farp.listen: auto` tries first; a free port where it is taken.
inline constexpr std::uint16_t kFarpPort = 5371;
/// An address that could not be bound is tried again after this.
inline constexpr Duration kFarpListenRetry = std::chrono::seconds(5);

/// Services that one call of a document of many looks at: each has its TXT record written and read
/// and its manifest made.
inline constexpr std::size_t kFarpSourcesPerTurn = 32;

class FarpService final : http::Handler, farp::SchemaFetcher::Sink {
 public:
  /// Everything outlives it.
  FarpService(Env& env, const FarpConfig& config, const registry::Registry& registry,
              http::Clients& clients);
  ~FarpService();

  /// Called whenever port() changes, so that every registration is announced again with it.
  void on_port_changed(std::function<void()> callback) { port_changed_ = std::move(callback); }
  /// The addresses under which this host is reached.
  void set_host(const registry::HostView& host);
  /// What announcements say, port() included.
  void set_profile(const farp::AnnouncementProfile& profile) { profile_ = profile; }

  /// Called before the same changes are announced.
  void apply(const registry::Changes& changes);
  /// Reads the schemas in files again.
  void reload();
  /// What is on the link, with farp.read also its manifest. `sighting` has at least one address.
  void see(const mdns::Sighting& sighting);
  void lose(const mdns::SightingKey& key);
  /// The drain begins: deregisters at the gateways, while requests that they route are still
  /// answered.
  void leave();
  /// Stops listening; open requests get no answer.
  void close();

  /// The port of the endpoints; 0 while they are not served.
  std::uint16_t port() const { return port_; }

  /// JSON for the doors; nothing when there is no such instance. An empty id stands for the only
  /// registration with FARP: nothing if there are several.
  std::optional<std::string> manifest(std::string_view instance_id) const;
  /// Both look at kFarpSourcesPerTurn services with each call, and give nothing until they have
  /// seen all. This object outlives what they return.
  using Document = Callback<std::optional<std::string>()>;
  Document services() const;
  Document routes(farp::Gateway gateway) const;

 private:
  struct Seen;
  class Sources;
  void on_request(const http::ServerRequest& request, http::Exchange exchange) override;
  void on_schema(const std::string& instance_id) override;
  void listen();
  void listen_anywhere();
  void retry_unbound();
  Result<void, NetError> listen_on(const Endpoint& endpoint);
  void stop_listening();
  void set_port(std::uint16_t port);
  void push(const registry::Instance& instance);
  void push_all();
  void forget(const std::string& instance_id);
  void follow_files(const registry::Instance& instance);
  void read_later(const std::string& instance_id, farp::SchemaType type);
  void read_next_file();
  void read_file(const registry::Instance& instance, farp::SchemaType type);
  farp::Vantage vantage() const;
  farp::RouteSource own_source(const registry::Instance& instance, std::string_view type) const;

  Env& env_;
  const FarpConfig& config_;
  const registry::Registry& registry_;
  http::Clients& clients_;
  registry::HostView host_;
  farp::AnnouncementProfile profile_;
  farp::SchemaStore schemas_;
  farp::Endpoints endpoints_;
  farp::SchemaFetcher fetcher_;
  farp::ManifestReader reader_;
  std::vector<std::unique_ptr<farp::PushClient>> gateways_;
  std::vector<std::unique_ptr<http::Server>> servers_;
  std::map<mdns::SightingKey, Seen> seen_;
  std::set<std::string> farp_ids_;                             // of our registrations
  using SchemaKey = std::pair<std::string, farp::SchemaType>;  // of which instance
  std::map<SchemaKey, std::string> files_;                     // paths as given, "file:/…"
  std::deque<SchemaKey> unread_;
  Timer read_timer_;
  std::uint16_t port_ = 0;
  std::function<void()> port_changed_;
  std::vector<Endpoint> unbound_;  // tried again with listen_retry_
  std::set<Endpoint> complained_;  // of these, once
  Timer listen_retry_;
  bool leaving_ = false;
};

}  // namespace outrider
