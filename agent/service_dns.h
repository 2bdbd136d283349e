// SPDX-License-Identifier: Apache-2.0
// The agent's DNS: the stub server with one zone a domain, kept equal to the registry through
// ZoneProjection. A name that nobody knows yet is asked for on the link while the query is held.
//
// A change rebuilds the names of its service. One change is in DNS before apply() returns, whatever
// the service's size; where a large service changes again and again, its rebuilds are paced, so
// that ten thousand registrations do not cost ten thousand times ten thousand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/metrics.h"
#include "agent/farp/txt_writer.h"
#include "agent/registry/load_order.h"
#include "agent/registry/reverse.h"
#include "base/json.h"
#include "dns/stub_server.h"

namespace outrider {

/// Services with more instances than this are paced: after a rebuild of n instances the next one
/// comes n × kRebuildPace later at the earliest (1 000 instances: 100 ms), on a slow machine later,
/// but after kPaceMost at the latest.
inline constexpr std::size_t kUnpacedInstances = 64;
inline constexpr Duration kRebuildPace = std::chrono::microseconds(100);
inline constexpr Duration kPaceMost = std::chrono::seconds(1);

/// So often connections are counted under dns.order p2c; never while a query is answered.
inline constexpr Duration kLoadSample = std::chrono::seconds(1);

class ServiceDns final : private dns::StubServer::Sink {
 public:
  class Sink {
   public:
    virtual void on_dns_bind(const Endpoint& address, Result<void, NetError> result) = 0;
    /// A service that is not known is asked for. Returns how long the query is to be held.
    virtual Duration on_unknown_service(const std::string& label) = 0;
    /// What this host's connections to these are; for dns.order p2c.
    virtual registry::Load on_load(std::span<const Endpoint> endpoints) = 0;

   protected:
    ~Sink() = default;
  };

  /// `link_hosts` answers `*.local`; null: nobody does. Everything outlives this.
  ServiceDns(Env& env, const DnsConfig& config, const registry::Registry& registry,
             dns::HostNames* link_hosts, Sink& sink);
  ~ServiceDns();

  void start(const registry::HostView& host);
  void stop();
  void apply(const registry::Changes& changes);
  /// What TXT records of registrations say from now on; rebuild() follows.
  void set_announcement(farp::AnnouncementProfile announcement) {
    announcement_ = std::move(announcement);
  }
  /// Everything anew: the addresses of this host changed.
  void rebuild(const registry::HostView& host);

  /// Who answers what is not ours; null: nobody. It outlives this.
  void set_forwarder(dns::Forwarder* forwarder) { server_.set_forwarder(forwarder); }

  /// Addresses that are bound now.
  const std::vector<Endpoint>& bound() const { return bound_; }
  /// True once every address was tried.
  bool tried_all() const { return tried_.size() >= config_.listen.size(); }
  const dns::StubCounters& counters() const { return server_.counters(); }
  std::size_t name_count() const;
  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  struct Zone {
    dns::LocalZone* zone = nullptr;
    registry::ZoneProjection projection;
  };
  /// A large service, or the list of all services.
  struct Paced {
    TimePoint next;             // not rebuilt before
    registry::Changes waiting;  // what came since the last rebuild
  };
  registry::ZoneProfile zone_profile(const dns::Name& domain);
  void set_services(const registry::Changes& changes);
  void list_types();
  void take_turns(registry::Changes& due);
  void arm();
  void sample_load();
  void on_bind(const Endpoint& address, Result<void, NetError> result) override;
  Duration on_unknown_name(const dns::Name& name, const dns::Name& zone) override;
  static registry::ZoneSink into(dns::LocalZone& zone);
  static void set(dns::LocalZone& zone, registry::ZoneUpdate update);

  Env& env_;
  const DnsConfig& config_;
  const registry::Registry& registry_;
  Sink& sink_;
  dns::StubServer server_;
  farp::AnnouncementProfile announcement_;
  std::vector<Zone> zones_;
  registry::ReverseProjection reverse_;
  registry::HostView host_;
  std::map<std::string, Paced> paced_;  // by label of the service
  TimePoint next_types_;                // the list of all services is not set before
  registry::LoadOrder order_;
  Timer pace_timer_, load_timer_;
  std::vector<Endpoint> bound_;
  std::map<Endpoint, bool> tried_;
};

}  // namespace outrider
