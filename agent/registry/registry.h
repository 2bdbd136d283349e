// SPDX-License-Identifier: Apache-2.0
// The one owner of what is registered, seen and healthy. Pure: the caller says what happened and
// when; every mutator returns Changes, which Agent::apply spreads. There are no observers.
//
//   put, remove, put_check, set_check, set_maintenance, …   ▸ registrations   registry.cc
//   see, lose, go_stale                                     ▸ sightings       sightings.cc,
//                                                             places.cc
//   drop, expire(now) at next_expiry(), silent_heartbeats   ▸ time alone      expiry.cc
//   find_own, instances, services, why, …                   ▸ reading         reading.cc
//
// A registration wins over sightings of itself. A sighted instance is known by service, host (SRV
// target), port and id: what is seen under several types or on several links is one instance, and
// equal ids on two hosts are two. Where two ids would be written the same in DNS, the one that came
// later is shown with a suffix; an id does not change while its instance is listed, except that a
// registration always has its own id. What a program of this host announces by itself is "shadowed"
// by a usable registration with the same service and port, whichever agent of this host has that.
// Sightings of other hosts are served until their owner or time ends them, for the claim to a port
// can be forged. A registration that is critical for too long is "dropped": no longer listed, but
// still probed. It is removed when another one needs its place or its DNS label, the one that is
// critical for longest first.
//
// An entry of another registry (etcd, Consul) names no host. It is one more place of the instance
// that has its id, or its address and port if one of the two has no id of its own. The best current
// place describes an instance (Source has the order); a stale place never beats a current one; the
// health is the worst that a current place reports.
//
// Checks and maintenance of this host as a whole are those of one more instance, kNodeId, which is
// never listed: find_own() and everything that changes an instance take its id. No registration is
// healthier than it is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

inline constexpr std::size_t kRegistrationsMax = 16'384;
inline constexpr std::size_t kSightingsMax = 16'384;  // places in all engines together
/// Places of one registry beyond the link (Consul, etcd): both together leave a quarter to the
/// link and to this host.
inline constexpr std::size_t kRemoteSightingsMax = 6'144;
inline constexpr std::size_t kAddressesSeenMax = 16;  // of one sighted instance
inline constexpr std::size_t kPlacesMax = 16;         // of one sighted instance
/// Entries of other registries at one address and port that are compared with each other. Those
/// beyond are listed without that.
inline constexpr std::size_t kEntriesPerContactMax = 64;
inline constexpr std::size_t kNamesRememberedMax = 4'096;
inline constexpr std::size_t kSpellingsCompared = 64;
inline constexpr std::size_t kShortIdsCompared = 64;  // of one question
inline constexpr Duration kNameMemory = std::chrono::minutes(10);
/// Under this id the registry keeps what is registered for this host as a whole: checks and
/// maintenance that apply to all its registrations. No service can have it.
inline constexpr std::string_view kNodeId = "_node";
/// How long instances are still served after their link went down.
inline constexpr Duration kStaleGrace = std::chrono::seconds(60);

/// One listed instance before and after; one of the two may be absent. Equal revisions: a sighting
/// was merely refreshed (its expiry moved), which matters to TTLs but is no news.
struct Change {
  InstancePtr before, after;
  /// Set when a registration was dropped: it is no longer listed, but still registered and probed.
  InstancePtr dropped = nullptr;
  /// What Registry::note and Registry::knows said of the service before this change.
  std::string note_before = {};
  bool known_before = true;
  /// Only the addresses of this host have changed, which the instance does not hold itself.
  bool readdressed = false;

  bool news() const { return !before || !after || before->revision != after->revision; }
  const Instance& any() const { return after ? *after : *before; }
  /// The registration after the change, listed or dropped; null when it was removed.
  const InstancePtr& kept() const { return after ? after : dropped; }
};

/// A service that is no longer remembered, and what Registry::note said of it.
struct Forgotten {
  std::string label, note;
  bool operator==(const Forgotten&) const = default;
};

struct Changes {
  std::uint64_t revision = 0;  // of the registry after them
  std::vector<Change> list;
  /// Registrations removed after they were dropped. They were not listed, so `list` omits them.
  /// They precede `list`, which may register the same id again.
  std::vector<InstancePtr> ended;
  std::vector<Forgotten> forgotten;  // services whose kNameMemory has ended
  /// What is registered for the host as a whole, before and after; null if it has not changed.
  InstancePtr node_before = nullptr, node = nullptr;

  bool empty() const { return list.empty() && ended.empty() && forgotten.empty() && !node; }
  void append(Changes more);
};

/// What another registry says about one instance in one place. The caller has read the TXT
/// (agent/lan/sighting_reader.cc for mDNS).
struct Sighting : Description {
  SightedPlace place;
  ServiceName service;
  InstanceId id;
  std::vector<PlacedAddress> addresses;  // best first, never empty
  Health health = Health::passing;
  std::string maintenance_reason;
  std::vector<CheckState> checks;  // as far as the source tells
  Shared<LocalName> local_name;
  Shared<Exposure> exposure;
  Scope scope = Scope::lan;
  Shared<StatedHost> stated;
  /// Reported by an agent of this host, at whatever address the instance is.
  bool from_this_host = false;
  bool on_this_host = false;
  bool detailed = true;  // has TXT keys, and is preferred to a place without
  bool vouched = true;   // sent by the host that it names, as far as the engine can tell
  bool primary = true;   // under the service's own type, not under one that services share
  bool own_id = true;    // false: the entry has no id, and `id` was made of its address and port
  Source source = Source::sighting;
};

/// For how long a stale place is served, and why it is stale.
struct StaleFor {
  Duration grace = kStaleGrace;  // Duration::max(): until it is seen again or lost
  std::string reason = {};
};

/// What an earlier run of the agent has kept of a registration.
struct Kept {
  struct Heartbeat {
    std::string check;
    CheckHealth health = CheckHealth::starting;
    Moment renewed;
    std::string output;
    bool operator==(const Heartbeat&) const = default;
  };
  bool maintenance = false;
  std::string maintenance_reason;
  std::vector<Heartbeat> heartbeats;
  bool dropped = false;  // the caller drops it again, which lists what has recovered
  bool operator==(const Kept&) const = default;
};

/// One service as it was at some moment.
struct PastService {
  std::string label;
  std::vector<InstancePtr> instances;
  bool known = false;
  std::string note;
};

enum class RegistryError : std::uint8_t {
  unknown_instance,
  unknown_check,
  too_many,      // kRegistrationsMax, without those that were dropped
  duplicate_id,  // another registration of this service has the same DNS label
  not_ttl,       // a heartbeat for a check that is probed
  alias_ring,    // its aliases lead back to itself
  too_large,     // its metadata and tags do not fit into the record that other hosts read
};
const char* to_string(RegistryError error);

/// Microseconds since 1970: greater than every revision of an earlier run, which made fewer changes
/// than microseconds passed, and below 2^53, so that every JSON reader keeps it exact.
std::uint64_t first_revision(WallTime wall);

class Registry {
 public:
  /// `host` is part of automatic ids. Every change has a revision above `revision`; with
  /// first_revision, revisions differ over restarts too.
  explicit Registry(HostId host, std::uint64_t revision = 1);
  explicit Registry(std::string host_name, std::uint64_t revision = 1)
      : Registry(HostId{std::move(host_name), {}}, revision) {}
  ~Registry();
  Registry(Registry&&) noexcept;
  /// A registry to read, in which these services are as they were.
  static Registry of_past(HostId host, std::vector<PastService> services);

  // --- registrations -----------------------------------------------------------------------
  /// Registers, or replaces the registration with the same id: checks that stay with the same
  /// target keep their health and output, changed and added ones start from the verdict that
  /// stands unless the address has changed; `up` and `registered` stay. A dropped registration is
  /// listed again and gets its whole time to recover.
  /// `exposure` is what exposure_of() finds for it; `kept` (optional) is for a new registration.
  Result<Changes, RegistryError> put(const ServiceSpec& spec, Moment now, Exposure exposure = {},
                                     const Kept* kept = nullptr);
  /// The error that put() would return for any of `specs` after `leaving` are removed: for changes
  /// that must be made as a whole or not at all.
  Result<void, RegistryError> would_take(std::span<const ServiceSpec> specs,
                                         const std::vector<std::string>& leaving) const;
  Result<Changes, RegistryError> remove(std::string_view id, Moment now);
  /// Registrations with these ids are not removed for others after they are dropped.
  void hold(const std::vector<std::string>& ids);
  /// Adds or replaces one check of an instance.
  Result<Changes, RegistryError> put_check(std::string_view id, const CheckSpec& check, Moment now);
  Result<Changes, RegistryError> remove_check(std::string_view id, std::string_view check_id,
                                              Moment now);
  /// A verdict changed, or (same health) a heartbeat or outcome has new output.
  Result<Changes, RegistryError> set_check(std::string_view id, std::string_view check_id,
                                           CheckHealth health, std::string output, Moment now);
  Result<Changes, RegistryError> set_maintenance(std::string_view id, bool on, std::string reason,
                                                 Moment now);
  /// With scope automatic, a registration that is reached over loopback only has scope host.
  Result<Changes, RegistryError> set_exposure(std::string_view id, Exposure exposure, Moment now);
  /// What its name in .local is now; empty: none.
  Result<Changes, RegistryError> set_local_name(std::string_view id, std::string name, Moment now);
  Result<Changes, RegistryError> set_draining(std::string_view id, bool on, Moment now);
  /// The addresses of this host have changed, and with them what readers see of this host and of
  /// every listed registration that was given no addresses: these get new revisions.
  Changes readdress(Moment now);
  Changes drain_all(Moment now);
  /// Keeps the registration but no longer lists it, as expire() does for probed checks.
  Result<Changes, RegistryError> drop(std::string_view id, Moment now);

  // --- sightings ---------------------------------------------------------------------------
  /// Beyond kSightingsMax, kRemoteSightingsMax and kPlacesMax the place is refused and counted.
  Changes see(Sighting sighting, Moment now);
  Changes lose(std::string_view place_key, Moment now);
  bool has_place(std::string_view place_key) const;
  /// The link or engine of this place is down: it is served for a grace time, marked stale, unless
  /// it is seen again.
  Changes go_stale(std::string_view place_key, Moment now, const StaleFor& how = {});

  // --- time --------------------------------------------------------------------------------
  /// Drops registrations whose probes were critical for deregister_critical_after, in maintenance
  /// too (the first verdict that is not critical lists them again), removes stale sightings at the
  /// end of their grace time, and forgets names whose memory has ended.
  Changes expire(Moment now);
  std::optional<TimePoint> next_expiry() const;
  /// Registrations whose heartbeats are overdue. They are not dropped here: heartbeats.h decides
  /// which of them go, and when.
  std::vector<std::string> silent_heartbeats(TimePoint now) const;
  std::optional<TimePoint> next_silence() const;

  // --- reading -----------------------------------------------------------------------------
  std::uint64_t revision() const;
  /// The number of changes since the start.
  std::uint64_t changes() const;
  const std::string& host_name() const { return host().name; }
  const HostId& host() const;
  /// The registration with this id; null if there is none. kNodeId: this host.
  InstancePtr find_exact(std::string_view id) const;
  /// A registration as people and clients name it: by its id, or by its short_id if no other one
  /// has that id.
  InstancePtr find_own(std::string_view id) const;
  /// The listed instance whose automatic id begins with this label and goes on with a suffix of its
  /// host: the first version chose ids without it. Registrations first; null if there is none.
  InstancePtr find_short(std::string_view service_label, std::string_view id_label) const;
  /// All registrations, dropped ones included, by id.
  std::vector<InstancePtr> own() const;
  std::size_t own_count() const;
  /// Ids of at most `most` registrations that have a check of this id, in order.
  std::vector<std::string> with_check(std::string_view check_id, std::size_t most) const;
  /// Every listed instance of a service, registrations first, then by id.
  std::vector<InstancePtr> instances(std::string_view service_label) const;
  /// Labels of all services that have instances, in order.
  std::vector<std::string> services() const;
  std::size_t service_count() const;
  std::size_t instance_count() const;
  std::size_t instance_count(std::string_view service_label) const;
  /// True for services with instances, and for kNameMemory after the last one left (less if more
  /// than kNamesRememberedMax left since).
  bool knows(std::string_view service_label) const;
  /// Labels of services that have no instance but are remembered.
  std::vector<std::string> remembered() const;
  /// A name under which another listed instance of the service was registered, written differently
  /// but with the same label; empty if there is none. Looks at kSpellingsCompared instances.
  std::string other_spelling(const Instance& instance) const;
  /// Listed instances that are shown under another id than announced, at most `most`.
  std::vector<InstancePtr> renamed(std::size_t most) const;
  std::uint64_t refused_sightings() const;
  /// The state of a service in a sentence, the same from every agent of this host: "1 known, 0
  /// passing; web-1: critical: HTTP 503", "0 known, 0 passing; last: web-1 left at 09:30:00Z".
  std::string why(std::string_view service_label) const;
  /// What last happened to the service, as why() says it: "h1 left at 09:30:00Z".
  std::string note(std::string_view service_label) const;
  /// The revision at which the service last changed; 0 if it was never known.
  std::uint64_t service_revision(std::string_view service_label) const;

 private:
  struct State;
  Changes put_node(const ServiceSpec& spec, Moment now, const Kept* kept);

  std::unique_ptr<State> state_;
};

}  // namespace outrider::registry
