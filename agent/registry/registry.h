// SPDX-License-Identifier: Apache-2.0
// The one owner of what is registered, seen and healthy. Pure: it is told the time and what
// happened; every mutator answers with Changes, which Agent::apply spreads. Nobody observes it.
//
//   put, remove, set_check, maintenance, drain ▸ registrations
//   see, lose, go_stale                               ▸ sightings
//   expire(now), at next_expiry()                     ▸ what time alone changes
//
// A registration wins over sightings of itself. One instance that is met under several types, on
// several links or in several engines is one instance. Two sightings of one service with the same
// host and port are one program that was restarted under another id: the newer one is served.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

inline constexpr std::size_t kRegistrationsMax = 16'384;
inline constexpr std::size_t kSightingsMax = 16'384;  // places, all engines together
inline constexpr std::size_t kAddressesSeenMax = 16;  // of one sighted instance
inline constexpr std::size_t kPlacesMax = 8;          // of one sighted instance
inline constexpr std::size_t kNamesRememberedMax = 4'096;
inline constexpr Duration kNameMemory = std::chrono::minutes(10);
/// How long the last good answers are served after their link went down.
inline constexpr Duration kStaleGrace = std::chrono::seconds(60);

/// One listed instance before and after; one of the two may be absent. Equal revisions: a sighting
/// was merely refreshed (its expiry moved), which matters to TTLs but is no news.
struct Change {
  InstancePtr before, after;
  /// Set when a registration was dropped: it is no longer listed, but still registered and probed.
  InstancePtr dropped = nullptr;

  bool news() const { return !before || !after || before->revision != after->revision; }
  const Instance& any() const { return after ? *after : *before; }
  /// The registration after the change, listed or dropped; null when it was removed.
  const InstancePtr& kept() const { return after ? after : dropped; }
};

struct Changes {
  std::uint64_t revision = 0;  // of the registry after them
  std::vector<Change> list;
  /// Registrations removed after they were dropped. They were not listed, so `list` omits them.
  /// They precede `list`, which may register the same id again.
  std::vector<InstancePtr> ended;
  std::vector<std::string> forgotten;  // labels of services whose name_memory has ended

  bool empty() const { return list.empty() && ended.empty() && forgotten.empty(); }
  void append(Changes more);
};

/// What a registry elsewhere says of one instance in one place. The caller (agent/sightings.cc for
/// mDNS) has read the TXT.
struct Sighting {
  SightedPlace place;
  ServiceName service;
  InstanceId id;
  std::string version;
  std::uint16_t port = 0;
  std::vector<PlacedAddress> addresses;  // best first, never empty
  std::string protocol;
  std::vector<std::string> tags;
  Metadata metadata;
  std::uint16_t weight = 100;
  FarpSpec farp;
  Health health = Health::passing;
  bool on_this_host = false;
  bool detailed = true;  // says more than another place without TXT keys would
  Source source = Source::sighting;
};

enum class RegistryError : std::uint8_t {
  unknown_instance,
  unknown_check,
  too_many,      // kRegistrationsMax
  duplicate_id,  // another registration of this service has the same DNS label
  not_ttl,       // a heartbeat for a check that is probed
  alias_ring,    // its aliases lead back to itself
};
const char* to_string(RegistryError error);

/// Microseconds since 1970: above every revision of an earlier life, which made fewer changes than
/// that, and below 2^53, so that every reader of JSON takes it as it is.
std::uint64_t first_revision(WallTime wall);

class Registry {
 public:
  /// `host_name` goes into ids of `id: auto`. Every change has a revision above `revision`: where
  /// that grows over restarts too (first_revision), none of two lives is taken for the other's.
  explicit Registry(std::string host_name, std::uint64_t revision = 1);
  ~Registry();
  Registry(Registry&&) noexcept;

  // --- registrations -----------------------------------------------------------------------
  /// New, or replaces what has the same id: checks that stay, and ask where they asked before, keep
  /// their health and output, `up` and `registered` stay, `dirty` says when. What was dropped is
  /// listed again, and has its time to come back once more.
  Result<Changes, RegistryError> put(const ServiceSpec& spec, Moment now);
  /// What put() would say of any of `specs` once `leaving` are removed: for changes that are to be
  /// made as a whole or not at all.
  Result<void, RegistryError> would_take(const std::vector<ServiceSpec>& specs,
                                         const std::vector<std::string>& leaving) const;
  Result<Changes, RegistryError> remove(std::string_view id, Moment now);
  /// Adds or replaces one check of an instance.
  Result<Changes, RegistryError> put_check(std::string_view id, const CheckSpec& check, Moment now);
  Result<Changes, RegistryError> remove_check(std::string_view id, std::string_view check_id,
                                              Moment now);
  /// A verdict changed, or (same health) a heartbeat or outcome came with new output.
  Result<Changes, RegistryError> set_check(std::string_view id, std::string_view check_id,
                                           CheckHealth health, std::string output, Moment now);
  Result<Changes, RegistryError> set_maintenance(std::string_view id, bool on, std::string reason,
                                                 Moment now);
  Result<Changes, RegistryError> set_draining(std::string_view id, bool on, Moment now);
  Changes drain_all(Moment now);
  /// What expire() does by itself for probed checks: kept, but no longer listed.
  Result<Changes, RegistryError> drop(std::string_view id, Moment now);

  // --- sightings ---------------------------------------------------------------------------
  /// Beyond kSightingsMax the place is refused and counted.
  Changes see(Sighting sighting, Moment now);
  Changes lose(std::string_view place_key, Moment now);
  bool has_place(std::string_view place_key) const;
  /// The link, or the engine, of this place is down: it is served for kStaleGrace, marked stale,
  /// unless it is seen again.
  Changes go_stale(std::string_view place_key, Moment now);

  // --- time --------------------------------------------------------------------------------
  /// What is due: registrations whose probes were critical for deregister_critical_after are
  /// `dropped` (still probed, no longer listed; the first verdict that is not critical takes them
  /// back), stale sightings whose grace has ended are gone, names whose memory has ended forgotten.
  Changes expire(Moment now);
  std::optional<TimePoint> next_expiry() const;
  /// The same of heartbeats, which are not dropped here: who of them may go, and when, is
  /// heartbeats.h's to say.
  std::vector<std::string> silent_heartbeats(TimePoint now) const;
  std::optional<TimePoint> next_silence() const;

  // --- reading -----------------------------------------------------------------------------
  std::uint64_t revision() const;
  /// How many changes there have been.
  std::uint64_t changes() const;
  const std::string& host_name() const;
  /// A registration by its id.
  InstancePtr find_own(std::string_view id) const;
  /// All registrations, dropped ones included, by id.
  std::vector<InstancePtr> own() const;
  std::size_t own_count() const;
  /// Ids of registrations that have a check of this id, in order, at most `most`.
  std::vector<std::string> with_check(std::string_view check_id, std::size_t most) const;
  /// Every instance of a service (registrations, sightings; not `dropped`), own ones first, then by
  /// id. Empty if the service has none.
  std::vector<InstancePtr> instances(std::string_view service_label) const;
  /// Labels of all services that have instances, in order.
  std::vector<std::string> services() const;
  std::size_t service_count() const;
  std::size_t instance_count() const;
  std::size_t instance_count(std::string_view service_label) const;
  /// True also for services without instances, for kNameMemory after the last one left (less if
  /// more than kNamesRememberedMax left since).
  bool knows(std::string_view service_label) const;
  /// Labels that are remembered though nothing is left of them.
  std::vector<std::string> remembered() const;
  std::uint64_t refused_sightings() const;
  /// Why a service is as it is: "2 known, 0 passing; last: HTTP 503 at 09:30:00Z".
  std::string why(std::string_view service_label) const;
  /// When a service of this label last changed (revision); 0 if never heard of.
  std::uint64_t service_revision(std::string_view service_label) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::registry
