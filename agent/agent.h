// SPDX-License-Identifier: Apache-2.0
// The house-keeper: owns every room and carries what happens in one to the others.
//
//   registrations (config, doors) ─┐                            ┌▸ ServiceDns (DNS zones)
//   verdicts (Checks) ─────────────┼▸ Registry ▸ Changes ▸ apply ┼▸ Checks     (probes)
//   sightings (mDNS) ──────────────┘                            ├▸ FarpService, Announcer
//                                                               └▸ watchers   (doors)
//
// apply() is the one place where changes spread, always in this order: first nobody is sent to
// what is gone, then the rest. Sightings of one turn of the loop are applied together at its end.
//
// Files: agent.cc (start, apply, stop), control.cc (what doors may ask), checks, service_dns,
// announcer, sighting_reader, farp_service (one room each).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/announcer.h"
#include "agent/checks.h"
#include "agent/config/config.h"
#include "agent/doors/control.h"
#include "agent/farp_service.h"
#include "agent/forwarding.h"
#include "agent/registry/heartbeats.h"
#include "agent/service_dns.h"
#include "agent/sighting_reader.h"
#include "mdns/provider.h"

namespace outrider {

/// Questions for unknown names are held so long while the first browse round is not yet done.
inline constexpr Duration kFirstRoundHold = std::chrono::seconds(1);
/// Sightings that were merely refreshed wait so long before TTLs in DNS follow.
inline constexpr Duration kRefreshDelay = std::chrono::seconds(1);
/// READY is not kept back any longer by a link that does not come up.
inline constexpr Duration kReadyPatience = std::chrono::seconds(5);

/// What only the real machine can give; tests leave it out or give their own.
struct AgentParts {
  std::string host_name = "host";
  /// The same for all agents of one host, and for no other host; told in TXT records.
  std::string host_cookie;
  using MakeProvider = std::function<std::unique_ptr<mdns::Provider>(Env&)>;
  MakeProvider make_provider;  // empty: no mDNS
  /// Name servers of the host and the way to them; empty: nothing is forwarded.
  ForwardParts forward;
  /// "pid 812 (dnsmasq)": who holds an address; empty when it cannot be told.
  std::function<std::string(const Endpoint&)> who_holds;
  /// Connections and round-trip times as the kernel knows them.
  std::function<registry::Load(std::span<const Endpoint>)> load;
};

class Agent final : private Checks::Sink,
                    private ServiceDns::Sink,
                    private mdns::Provider::Sink,
                    public doors::Control {
 public:
  Agent(Env& env, Config config, AgentParts parts);
  ~Agent();
  Agent(const Agent&) = delete;

  /// Registers what the configuration names, binds, announces. Failures are told and tried again.
  void start();
  /// New configuration: services are compared and changed, everything else that is reloadable
  /// takes effect. All or nothing: keys that stand against it are returned, those that need a
  /// restart, or "services" when they do not fit beside what others have registered.
  std::vector<std::string> reload(Config next);
  /// Out of DNS at once, goodbye, go on answering for others until nobody has our addresses any
  /// more, then close; `done` comes last, once. `after_drain` (optional) comes when the wait is
  /// over and before anything closes: the moment to stop the program itself.
  void stop(Callback<void()> done, Callback<void()> after_drain = {});
  /// During stop(): do not wait any longer.
  void hurry();
  bool stopping() const { return stopping_; }

  using Watcher = std::function<void(const registry::Changes&)>;
  /// Called at the end of every apply. For the agent's lifetime.
  void watch(Watcher watcher) { watchers_.push_back(std::move(watcher)); }

  /// True once: sockets are bound or given up for now, and the first browse round is done (or the
  /// link is not there); with lifecycle.ready "healthy", every registration is served.
  void when_ready(Callback<void()> callback);
  /// "2 services, 3 instances; own: 1 of 1 served; DNS on 127.0.0.55:5370", for systemd's STATUS.
  std::string summary() const;
  /// Called after every change of summary(), at most once a second.
  void on_summary(std::function<void(const std::string&)> callback);

  const Config& config() const { return config_; }
  const registry::Registry& registry() const override { return registry_; }
  const Announcer& announcer() const { return announcer_; }
  const ServiceDns& service_dns() const { return service_dns_; }
  const Forwarding& forwarding() const { return forwarding_; }
  const Checks& checks() const { return checks_; }
  mdns::Provider* provider() { return provider_.get(); }
  mdns::ProviderState link_state() const { return link_state_; }

  // --- doors::Control (control.cc) -------------------------------------------------------------
  registry::Moment now() const override;
  registry::HostView host() const override { return host_; }
  doors::DnsView dns() const override;
  Result<std::string, registry::RegistryError> put(const registry::ServiceSpec& spec) override;
  Done remove(std::string_view id) override;
  Done put_check(std::string_view id, const registry::CheckSpec& check) override;
  Done remove_check(std::string_view id, std::string_view check_id) override;
  Done renew(std::string_view id, std::string_view check_id, registry::CheckHealth health,
             std::string output) override;
  Done set_maintenance(std::string_view id, bool on, std::string reason) override;
  Done set_draining(std::string_view id, bool on) override;
  void drain_all() override;
  doors::CheckReport check_report(std::string_view id, std::string_view check_id) const override;
  registry::Load load(std::span<const Endpoint> endpoints) const override;
  void write_status(json::Writer& out) const override;
  void write_metrics(doors::Metrics& out) const override;
  std::optional<std::string> farp_manifest(std::string_view id) const override;
  std::string farp_services() const override;
  std::optional<std::string> farp_routes(std::string_view gateway) const override;

 private:
  void apply(registry::Changes changes);
  void spread(const registry::Changes& changes);
  void log_change(const registry::Change& change);
  void arm_expiry();
  void expire();
  void evict();
  void follow_heartbeats(const registry::Change& change);
  void apply_later(registry::Changes changes);
  void look_at_host();
  void forget_sighting(const mdns::SightingKey& key);
  Duration drain_left(const registry::Instance& instance) const;
  void check_ready();
  void tell_summary();
  void close();
  Done done(Result<registry::Changes, registry::RegistryError> result);
  farp::AnnouncementProfile announcement_profile() const;
  void announce_again();

  void on_check(const std::string& instance_id, const std::string& check_id,
                registry::CheckHealth health, const std::string& output) override;
  void on_refused(const std::string& instance_id, const std::string& check_id) override;
  void on_dns_bind(const Endpoint& address, Result<void, NetError> result) override;
  Duration on_unknown_service(const std::string& label) override;
  registry::Load on_load(std::span<const Endpoint> endpoints) override { return load(endpoints); }
  void on_announced(mdns::AnnouncementId id, const std::string& label) override;
  void on_conflict(mdns::AnnouncementId id) override;
  void on_sighting(const mdns::Sighting& sighting) override;
  void on_lost(const mdns::SightingKey& key, mdns::LostReason reason) override;
  void on_state(mdns::ProviderState state, const std::string& why) override;

  Env& env_;
  Config config_;
  AgentParts parts_;
  registry::HostView host_;
  registry::Registry registry_;
  std::unique_ptr<mdns::Provider> provider_;
  SightingReader reader_;
  Forwarding forwarding_;
  ServiceDns service_dns_;
  Checks checks_;
  FarpService farp_;
  Announcer announcer_;
  registry::Heartbeats heartbeats_;
  std::vector<Watcher> watchers_;

  std::deque<registry::Changes> todo_;  // changes that came while others are being spread
  bool spreading_ = false;
  registry::Changes later_;  // of this turn's sightings
  Timer flush_timer_, expiry_timer_, eviction_timer_, ready_timer_, summary_timer_, drain_timer_;
  std::unique_ptr<Pending> interface_watch_;
  std::vector<std::string> configured_;  // ids of registrations that the configuration made
  mdns::ProviderState link_state_ = mdns::ProviderState::starting;
  std::string link_why_;
  /// Seen on a link that is down. What else is kept of them ends with the registry's grace.
  std::set<mdns::SightingKey> stale_;
  TimePoint next_eviction_{};
  /// During the drain: instance and check of what there is to drain for, as far as we know.
  std::set<std::pair<std::string, std::string>> drained_for_;
  bool started_ = false, ready_ = false, ready_waited_ = false, stopping_ = false;
  bool closing_ = false;
  Callback<void()> ready_callback_, stopped_callback_, after_drain_;
  std::function<void(const std::string&)> summary_callback_;
  std::string last_summary_;
  std::uint64_t lost_by_reason_[5] = {};
};

}  // namespace outrider
