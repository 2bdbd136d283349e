// SPDX-License-Identifier: Apache-2.0
// The agent's DNS: the stub server with one zone per domain, kept equal to the registry through
// ZoneProjection. A query for an unknown name is held while the link is asked.
//
//   Agent::apply ▸ apply ▸ ZoneProjection ▸ LocalZone       StubServer ▸ on_unknown_name ▸ Sink
//
// A change rebuilds the names of its service. A single change is in DNS before apply() returns,
// whatever the size of the service. Repeated changes of a large service are paced, so that 10,000
// registrations do not rebuild 10,000 names 10,000 times.
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

/// Services with more instances than this are paced: a rebuild of n instances is followed by the
/// next one after n × kRebuildPace (1,000 instances: 100 ms), later on a slow machine, but after
/// kPaceMost at the latest.
inline constexpr std::size_t kUnpacedInstances = 64;
inline constexpr Duration kRebuildPace = std::chrono::microseconds(100);
inline constexpr Duration kPaceMost = std::chrono::seconds(1);

/// The interval at which connections are counted under dns.order p2c, apart from any query, while
/// a service has instances to choose between.
inline constexpr Duration kLoadSample = std::chrono::seconds(1);

class ServiceDns final : private dns::StubServer::Sink {
 public:
  class Sink {
   public:
    virtual void on_dns_bind(const Endpoint& address, Result<void, NetError> result) = 0;
    /// A client asked for an unknown service. Returns how long to hold the query.
    virtual Duration on_unknown_service(const std::string& label) = 0;
    /// How long to hold a query because not everything is known yet (settling.h).
    virtual Duration until_settled() const = 0;
    /// This host's connections to these endpoints; for dns.order p2c.
    virtual registry::Load on_load(std::span<const Endpoint> endpoints) = 0;

   protected:
    ~Sink() = default;
  };

  /// `link_hosts` answers `*.local`; null without mDNS. Everything outlives this.
  ServiceDns(Env& env, const DnsConfig& config, const registry::Registry& registry,
             dns::HostNames* link_hosts, Sink& sink);
  ~ServiceDns();

  void start(const registry::HostView& host);
  /// `done` comes when TCP clients have had their answers, soon, and not before this returns.
  void stop(Callback<void()> done);
  /// Closes the sockets, so that queries reach the other agents that share the address, and binds
  /// them again.
  void pause();
  void resume() { server_.resume(); }
  void apply(const registry::Changes& changes);
  /// Changes what the TXT records of registrations contain; rebuild() must follow.
  void set_announcement(farp::AnnouncementProfile announcement) {
    announcement_ = std::move(announcement);
  }
  /// Sets every name again, because the addresses of this host changed.
  void rebuild(const registry::HostView& host);

  /// Answers names outside the zones; null: they are refused. It outlives this.
  void set_forwarder(dns::Forwarder* forwarder) { server_.set_forwarder(forwarder); }

  /// Domains below `local` that are not looked up over mDNS.
  void set_unicast_local(const std::vector<dns::Name>& domains) {
    server_.set_unicast_local(domains);
  }
  /// Where the bridge has port 80, and which services asked for it; every name is set again.
  void set_bridged(registry::Bridged bridged);
  const registry::Bridged& bridged() const { return bridged_; }
  /// The configuration has changed.
  void reload() { server_.set_allowed(config_.allow); }

  /// until_settled() is zero from now on.
  void on_settled() { server_.on_complete(); }

  /// Addresses that are bound now.
  const std::vector<Endpoint>& bound() const { return bound_; }
  /// True once every address was tried.
  bool tried_all() const { return tried_.size() >= config_.listen.size(); }
  const dns::StubCounters& counters() const { return server_.counters(); }
  /// Of the service's own name, in all domains together.
  dns::LocalZone::Asked asked(std::string_view service_label) const;
  /// Whether connections are counted at present.
  bool counts_load() const { return load_timer_.pending(); }
  /// Of the instances of a service in answers; none: the nearest first.
  const registry::AnswerOrder* order() const {
    return config_.order == DnsOrder::p2c ? &order_ : nullptr;
  }
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
  void leave_one_large(registry::Changes& due);
  void set_services(const registry::Changes& changes);
  void list_types();
  void take_turns(registry::Changes& due);
  void arm();
  void sample_load();
  void sample_load_soon();
  void on_bind(const Endpoint& address, Result<void, NetError> result) override;
  Duration on_unknown_name(const dns::Name& name, const dns::Name& zone) override;
  Duration until_complete() const override { return sink_.until_settled(); }
  bool may_come(const dns::Name& name, const dns::Name& zone) const override;
  bool is_behind(const std::string& label) const;
  std::vector<dns::Name> other_spellings(const dns::Name& name, const dns::Name& zone) override;
  void on_empty_name(const dns::Name& name, const dns::Name& zone) override;
  static registry::ZoneSink into(dns::LocalZone& zone);
  static void set(dns::LocalZone& zone, registry::ZoneUpdate update);

  Env& env_;
  const DnsConfig& config_;
  const registry::Registry& registry_;
  Sink& sink_;
  dns::StubServer server_;
  farp::AnnouncementProfile announcement_;
  registry::Bridged bridged_;
  std::vector<Zone> zones_;
  registry::ReverseProjection reverse_;
  registry::HostView host_;
  std::map<std::string, Paced> paced_;  // by label of the service
  std::uint64_t applied_ = 0;           // the registry's revision up to which changes have come
  TimePoint next_types_;                // the list of all services is not set before
  registry::LoadOrder order_;
  Timer pace_timer_, load_timer_;
  bool sampling_ = false;  // between start() and stop(), under dns.order p2c
  std::vector<Endpoint> bound_;
  std::map<Endpoint, bool> tried_;
};

}  // namespace outrider
