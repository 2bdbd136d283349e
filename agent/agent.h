// SPDX-License-Identifier: Apache-2.0
// The agent as a value: owns its parts, wires them to each other, and carries every change from
// where it happens to everyone who needs it. It knows the world only through Env and AgentParts, so
// that two agents fit in one process.
//
//   registrations (config, doors) ─┐                            ┌▸ ServiceDns   (DNS zones)
//   verdicts (Checks) ─────────────┤                            ├▸ FarpService  (gateways)
//   sightings (Lan) ───────────────┼▸ Registry ▸ Changes ▸ apply ┼▸ Checks       (probes)
//   time (Evictor) ────────────────┘                            ├▸ History      (why --at)
//                                                               ├▸ Exports      (copies)
//                                                               ├▸ Lan, Evictor, Persistence
//                                                               ├▸ EtcdListener, WebListener
//                                                               └▸ watchers     (doors)
//
// apply() is the only road by which a change spreads. Its order is fixed: DNS first, so that no
// client is sent to an instance that is gone, then the rest. Sightings of one turn of the loop are
// applied together at its end.
//
// Files: agent.cc (start, apply, reload, stop), control.cc (what doors may ask), report.cc (status
// and metrics). Parts with a state of their own: lan, evictor, persistence, readiness, settling,
// farewell, checks, service_dns, forwarding, farp_service, engines, exports, etcd_listener,
// web_listener.
//
// To add a part that follows registrations: a member here, a call in Agent::spread, its sections in
// report.cc. To add a source of instances: a sibling of Lan that reports through SourceSink.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/checks.h"
#include "agent/config/config.h"
#include "agent/doors/control.h"
#include "agent/engines.h"
#include "agent/etcd_listener.h"
#include "agent/evictor.h"
#include "agent/exports.h"
#include "agent/exposure_watch.h"
#include "agent/farewell.h"
#include "agent/farp_service.h"
#include "agent/forwarding.h"
#include "agent/history_file.h"
#include "agent/lan/lan.h"
#include "agent/persistence.h"
#include "agent/readiness.h"
#include "agent/registry/history.h"
#include "agent/service_dns.h"
#include "agent/settling.h"
#include "base/http/clients.h"
#include "base/relay.h"
#include "dns/neighbours.h"
#include "mdns/provider.h"
#include "registries/host/host_engine.h"

namespace outrider {

class WebListener;

/// When sightings were merely refreshed, the TTLs in DNS follow after this.
inline constexpr Duration kRefreshDelay = std::chrono::seconds(1);

/// What only the real machine can give; tests leave it out or bring their own.
struct AgentParts {
  std::string host_name = "host";
  /// The same for all agents of one host, different on every other host, clones too; published in
  /// TXT records and part of automatic ids.
  std::string host_identity;
  /// By which the agents of one network namespace know each other; never told to other hosts.
  std::string namespace_identity;
  using MakeProvider = std::function<std::unique_ptr<mdns::Provider>(Env&)>;
  MakeProvider make_provider;  // empty: no mDNS
  /// The host's name servers and how to reach them; empty: nothing is forwarded.
  ForwardParts forward;
  /// "pid 812 (dnsmasq)": the process that holds an address; empty when it cannot be found.
  std::function<std::string(const Endpoint&)> who_holds;
  /// Connections and round-trip times as the kernel knows them.
  std::function<registry::Load(std::span<const Endpoint>)> load;
  ExposureParts exposure;
  /// Control sockets of other agents on this host; without list: they are not followed.
  registries::SiblingSockets siblings;
  /// Where registrations made over the API are kept over a restart; null: they are not.
  std::unique_ptr<StateFile> state;
  /// Engines of configured registries; empty: there are none.
  MakeEngine make_engine;
  /// This agent in what it writes to registries; the same after a restart, and different for every
  /// other agent. It begins with host_identity.
  std::string writer;
  /// Where the etcd door keeps its keys and leases over a restart; null: it does not.
  std::unique_ptr<StateFile> etcd_state;
  /// Where the history is kept; null: it ends with the agent.
  std::unique_ptr<StateFile> history;
  /// What carries the bytes of the bridge; null: there is no bridge.
  std::unique_ptr<Relays> relays;
};

class Agent final : private Checks::Sink,
                    private ServiceDns::Sink,
                    private Lan::Sink,
                    private Farewell::Sink,
                    public doors::Control {
 public:
  Agent(Env& env, Config config, AgentParts parts);
  ~Agent();
  Agent(const Agent&) = delete;

  /// Registers the configured services, binds, announces. Failures are logged and tried again.
  void start();
  /// Takes over a new configuration: services are compared and changed, everything else that is
  /// reloadable takes effect. All or nothing: when it is refused, returns the keys at fault, which
  /// need a restart, or "services" when they do not fit beside what clients have registered.
  std::vector<std::string> reload(Config next);
  /// Drains and closes (farewell.h). `after_drain` (optional) comes when the wait is over and
  /// before anything closes: the moment to stop the program itself. `done` comes last, once, and
  /// may destroy the agent.
  void stop(Callback<void()> done, Callback<void()> after_drain = {});
  /// During stop(): ends the drain now.
  void hurry() { farewell_.hurry(); }
  bool stopping() const { return farewell_.has_begun(); }
  /// The process is about to be suspended: closes the DNS sockets at the end of this turn, because
  /// the kernel gives every process that shares the address a part of the queries.
  void pause_dns();
  void resume_dns();

  using Watcher = std::function<void(const registry::Changes&)>;
  /// Called at the end of every apply, for the agent's lifetime.
  void watch(Watcher watcher) { watchers_.push_back(std::move(watcher)); }

  /// Called once, when the agent is ready (readiness.h).
  void when_ready(Callback<void()> callback) { readiness_.when_ready(std::move(callback)); }
  /// The line of status for a service manager: called at once and after changes.
  void on_summary(std::function<void(const std::string&)> callback) {
    readiness_.on_summary(std::move(callback));
  }

  const Config& config() const { return config_; }
  const registry::Registry& registry() const override { return registry_; }
  const Lan& lan() const { return lan_; }
  const ServiceDns& service_dns() const { return service_dns_; }
  const Checks& checks() const { return checks_; }
  /// What the clients of all its HTTP servers share.
  http::Clients& clients() { return clients_; }
  /// Null without web.listen and web.tls_listen, and after stop().
  WebListener* web() { return web_.get(); }
  /// Null without api.etcd_listen, and after stop().
  const EtcdListener* etcd() const { return etcd_.get(); }

  // --- doors::Control (control.cc, report.cc) --------------------------------------------------
  doors::AgentIdentity identity() const override { return identity_; }
  registry::Moment now() const override;
  bool is_settled() const override { return settling_.is_settled(); }
  registry::HostView host() const override { return host_; }
  doors::DnsView dns() const override;
  const registry::History* history() const override { return &history_; }
  Result<std::string, registry::RegistryError> put(const registry::ServiceSpec& spec) override;
  Done would_take(std::span<const registry::ServiceSpec> specs) const override;
  Done remove(std::string_view id) override;
  Done put_check(std::string_view id, const registry::CheckSpec& check) override;
  Done remove_check(std::string_view id, std::string_view check_id) override;
  Done renew(std::string_view id, std::string_view check_id, CheckHealth health,
             std::string output) override;
  Done set_maintenance(std::string_view id, bool on, std::string reason) override;
  Done set_draining(std::string_view id, bool on) override;
  void drain_all() override;
  void when_kept(KeptCallback callback) override { persistence_.when_kept(std::move(callback)); }
  doors::CheckReport check_report(std::string_view id, std::string_view check_id) const override;
  std::optional<Duration> probe_time(std::string_view id, std::string_view check_id) const override;
  Result<std::vector<std::string>, registry::RegistryError> probe_now(std::string_view id) override;
  Asked asked(std::string_view service_label) const override;
  WallTime started() const override { return begun_; }
  registry::Load load(std::span<const Endpoint> endpoints) const override;
  void write_status(json::Writer& out) const override;
  void write_metrics(doors::Metrics& out) const override;
  void write_registries(json::Writer& out) const override;
  std::vector<doors::CopyView> copies_of(const registry::Instance& instance) const override {
    return exports_.of(instance);
  }
  std::vector<doors::WrittenPlace> written_places(
      const registry::Instance& instance) const override {
    return engines_.written_places(instance);
  }
  std::unique_ptr<Pending> look_up_leases(const std::vector<doors::LeaseName>& leases,
                                          LeasesReply reply) override {
    return engines_.look_up_leases(leases, std::move(reply));
  }
  std::optional<std::string> farp_manifest(std::string_view id) const override;
  Document farp_services() const override;
  std::optional<Document> farp_routes(std::string_view gateway) const override;

 private:
  void apply(registry::Changes changes);
  void apply_later(registry::Changes changes);
  void spread(const registry::Changes& changes);
  void spread_own(const registry::Changes& changes);
  void log_change(const registry::Change& change);
  void log_names(const registry::Instance& instance);
  void log_health(const registry::Instance& before, const registry::Instance& after);
  void set_exposure(const std::string& instance_id, std::optional<registry::Exposure> exposure);
  Done done(Result<registry::Changes, registry::RegistryError> result);
  farp::AnnouncementProfile announcement_profile() const;
  /// Whether other hosts would get all of its metadata and tags.
  bool fits_into_announcement(const registry::ServiceSpec& spec) const;
  void announce_again();
  void put_configured();
  void put_changed(const std::vector<registry::ServiceSpec>& services);
  void log_refused(const registry::ServiceSpec& spec, registry::RegistryError error);
  void restore(std::vector<Persistence::Saved> saved);
  Result<std::string, registry::RegistryError> put(const registry::ServiceSpec& spec,
                                                   const registry::Kept* kept);
  void on_interfaces_changed();
  void note_surroundings();

  // Checks::Sink
  void on_check(const CheckKey& check, CheckHealth health, const std::string& output) override;
  void on_refused(const CheckKey& check) override;
  void on_passed(const CheckKey& check) override;
  // ServiceDns::Sink
  void on_dns_bind(const Endpoint& address, Result<void, NetError> result) override;
  void report_unbound(const Endpoint& address, NetError error);
  std::string holder_of(const Endpoint& address) const;
  Duration on_unknown_service(const std::string& label) override;
  Duration until_settled() const override { return settling_.hold(); }
  registry::Load on_load(std::span<const Endpoint> endpoints) override { return load(endpoints); }
  // Lan::Sink
  void on_seen(registry::Sighting sighting) override;
  void on_gone(const std::string& place_key) override;
  void on_stale(const std::string& place_key, const registry::StaleFor& how) override;
  void on_source_state() override { readiness_.update(); }
  void on_link_sighting(const mdns::Sighting& sighting) override { farp_.see(sighting); }
  void on_link_lost(const mdns::SightingKey& key) override { farp_.lose(key); }
  void on_local_name(const std::string& instance, const std::string& name) override;
  // Farewell::Sink
  void on_drain() override;
  void on_close() override;
  void close_sockets();
  void finish_history();

  Env& env_;
  Config config_;
  AgentParts parts_;
  doors::AgentIdentity identity_;
  registry::HostView host_;
  registry::Registry registry_;
  registry::History history_;
  HistoryFile history_file_;
  http::Clients clients_;
  FarpService farp_;
  Lan lan_;
  Engines engines_;
  Settling settling_;
  Exports exports_;
  Forwarding forwarding_;
  ServiceDns service_dns_;
  dns::Neighbours dns_neighbours_;
  Checks checks_;
  ExposureWatch exposure_watch_;
  Evictor evictor_;
  Persistence persistence_;
  Readiness readiness_;
  Farewell farewell_;
  std::unique_ptr<EtcdListener> etcd_;
  std::unique_ptr<WebListener> web_;
  std::vector<Watcher> watchers_;

  std::deque<registry::Changes> todo_;  // changes made while others are being spread
  bool spreading_ = false;
  registry::Changes later_;  // of this turn's sightings
  Timer flush_timer_;
  std::unique_ptr<Pending> interface_watch_;
  std::vector<std::string> configured_;  // ids of registrations that the configuration made
  /// What an earlier run has kept, until the configuration's services are registered.
  std::vector<Persistence::Saved> saved_;
  /// Of registrations that doors keep themselves: their maintenance, until they are registered.
  std::map<std::string, registry::Kept, std::less<>> kept_for_doors_;
  bool started_ = false;
  WallTime begun_;
};

}  // namespace outrider
