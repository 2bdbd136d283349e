// SPDX-License-Identifier: Apache-2.0
// The local link as a source of instances: announces the agent's registrations over mDNS and
// reports what other agents and programs announce.
//
//   Agent::apply ▸ apply ▸ Announcer, LocalNames ▸ mdns::Provider
//   mdns::Provider ▸ on_sighting, on_lost ▸ SightingReader ▸ Sink ▸ Registry ▸ Agent::apply
//
// When an interface goes down, its sightings become stale instead of lost: the registry serves them
// for kStaleGrace.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/metrics.h"
#include "agent/lan/announcer.h"
#include "agent/lan/local_names.h"
#include "agent/lan/sighting_reader.h"
#include "agent/registry/host_view.h"
#include "agent/registry/source_sink.h"
#include "base/json.h"
#include "dns/stub_server.h"
#include "mdns/link.h"
#include "mdns/provider.h"

namespace outrider {

/// Hosts of the link (`box.local`) for clients that ask by unicast DNS.
class LinkHosts final : public dns::HostNames {
 public:
  explicit LinkHosts(mdns::Provider& provider) : provider_(provider) {}
  std::unique_ptr<Pending> lookup(const std::string& host, Duration wait, Answer answer) override;

 private:
  mdns::Provider& provider_;
};

/// The interfaces that mDNS uses. In node.interfaces a pattern with '!' in front excludes.
mdns::LinkChoice link_choice(const NodeConfig& node);
/// The host as others see it: the addresses of the links that mDNS uses, in their order.
registry::HostView host_view(const std::string& name, const std::vector<Interface>& interfaces,
                             const NodeConfig& node);

class Lan final : mdns::Provider::Sink {
 public:
  class Sink : public SourceSink {
   public:
    /// Every sighting as it is on the link, also those that are no service to the registry: FARP
    /// gateways read them.
    virtual void on_link_sighting(const mdns::Sighting& sighting) = 0;
    virtual void on_link_lost(const mdns::SightingKey& key) = 0;
    /// LocalNames::Report
    virtual void on_local_name(const std::string& instance, const std::string& name) = 0;

   protected:
    ~Sink() = default;
  };

  /// `provider` is null when mdns.provider is off. `config`, `registry` and `sink` outlive it.
  Lan(Env& env, const MdnsConfig& config, const registry::Registry& registry,
      std::unique_ptr<mdns::Provider> provider, const farp::AnnouncementProfile& profile,
      Sink& sink);

  void start();
  /// Withdraws every announcement, then closes; `done` comes once, not before this returns.
  void stop(Callback<void()> done);
  /// Follows a change of a registration.
  void apply(const registry::Change& change);
  /// Announces every registration again, with what differs.
  void set_profile(const farp::AnnouncementProfile& profile);
  /// The addresses of this host, by which its other agents are recognised.
  void set_interfaces(const std::vector<Interface>& interfaces);
  /// The types that the configuration names have changed.
  void browse();
  /// Asks the link for a service that a client wants. Returns how long its query is worth holding:
  /// `hold`, or zero when the link is down.
  Duration ask(const std::string& service_label, Duration hold);
  /// Forgets stale sightings whose grace the registry has ended.
  void forget_expired();

  bool announces() const { return provider_ != nullptr; }
  /// The first browse round is done, or there is no link to browse.
  bool is_settled() const { return !provider_ || state_ == mdns::ProviderState::running; }
  /// The first browse round is running.
  bool is_in_first_round() const { return provider_ && state_ == mdns::ProviderState::starting; }
  const Announcer& announcer() const { return announcer_; }
  Announcer& announcer() { return announcer_; }
  /// Null when mdns.provider is off.
  dns::HostNames* host_names() { return host_names_ ? &*host_names_ : nullptr; }
  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  void on_announced(mdns::AnnouncementId id, const std::string& label) override;
  void on_conflict(mdns::AnnouncementId id) override;
  void on_sighting(const mdns::Sighting& sighting) override;
  void on_lost(const mdns::SightingKey& key, mdns::LostReason reason) override;
  void on_state(mdns::ProviderState state, const std::string& why) override;
  void forget(const mdns::SightingKey& key);

  static constexpr std::size_t kLostReasons =
      static_cast<std::size_t>(mdns::LostReason::evicted) + 1;

  Env& env_;
  const MdnsConfig& config_;
  const registry::Registry& registry_;
  Sink& sink_;
  std::unique_ptr<mdns::Provider> provider_;
  std::optional<LinkHosts> host_names_;
  SightingReader reader_;
  Announcer announcer_;
  LocalNames local_names_;
  mdns::ProviderState state_ = mdns::ProviderState::starting;
  std::string why_;                    // of the state
  std::set<mdns::SightingKey> stale_;  // seen on an interface that is down
  std::array<std::uint64_t, kLostReasons> lost_{};
  Timer stop_timer_;
};

}  // namespace outrider
