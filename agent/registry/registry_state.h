// SPDX-License-Identifier: Apache-2.0
// The tables of Registry, private to registry.cc (registrations), sightings.cc and places.cc (what
// others registered), expiry.cc (time) and reading.cc.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "agent/registry/registry.h"
#include "base/text.h"

namespace outrider::registry {

/// "09:30:00Z"
std::string clock_text(WallTime wall);

struct Registry::State {
  /// The labels by which DNS names an instance: no two listed instances have the same.
  struct Key {
    std::string service, id;
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const ServiceName& service, const InstanceId& id) {
    return {service.label(), id.label()};
  }
  static Key key_of(const Instance& i) { return key_of(i.service, i.id); }
  /// Identifies an instance that others registered. What is on this host has one key, whether a
  /// sibling reports it or the link, and under whatever SRV target.
  struct SeenKey {
    std::string service;  // label
    std::string host;     // SRV target, lower case; empty: registered at this host
    std::string id;       // as announced
    std::uint16_t port = 0;
    auto operator<=>(const SeenKey&) const = default;
    bool equals_but_for_port(const SeenKey& other) const {
      return std::tie(service, host, id) == std::tie(other.service, other.host, other.id);
    }
  };
  static SeenKey seen_key_of(const Sighting& s) {
    const bool here = s.from_this_host || s.on_this_host;
    // The target of a copy names the agent that made it.
    const bool nameless = is_remote(s.source) || !s.place.via.empty();
    const bool remote = nameless && !s.addresses.empty();
    const std::string host =
        remote ? s.addresses.front().address.to_string() : lowered(s.place.host);
    return {s.service.label(), here ? std::string() : host, s.id.text(), s.port};
  }
  /// The order of a service's instances: registrations first.
  struct ListKey {
    bool foreign = false;
    std::string id;  // label
    auto operator<=>(const ListKey&) const = default;
  };
  static ListKey list_key(const Instance& i) { return {!i.own(), i.id.label()}; }
  /// The port of a usable registration of an agent of this host; 0: it is none.
  static std::uint16_t held_port(const Instance& i) {
    const bool here = i.own() || i.source == Source::host;
    return here && usable(i.health) ? i.port : std::uint16_t{0};
  }

  /// What was said about a foreign instance in one place.
  struct Report {
    Sighting sighting;
    std::uint64_t order = 0;  // of the reports, by when they first came
    std::optional<TimePoint> stale_until;
    Shared<Staleness> stale;
    bool remote() const { return is_remote(sighting.source); }
  };
  /// An address and port of a service, by which entries of other registries find an instance.
  struct Contact {
    std::string service;
    IpAddress address;
    std::uint16_t port = 0;
    auto operator<=>(const Contact&) const = default;
  };
  struct Seen {
    std::vector<Report> reports;  // by place key; at most kPlacesMax
    InstancePtr merged;
    bool id_is_open = false;         // its id may change while it is listed
    const Key* hidden_by = nullptr;  // the registration that it is a sighting of: a key of `hidden`
    std::set<Contact> contacts;      // under which `by_contact` has it

    bool is_remote_only() const { return std::ranges::all_of(reports, &Report::remote); }
    bool has_own_id() const {
      return std::ranges::any_of(reports, [](const Report& r) { return r.sighting.own_id; });
    }

    std::vector<Report>::iterator report_of(std::string_view place_key) {
      return std::ranges::find_if(
          reports, [&](const Report& each) { return each.sighting.place.key == place_key; });
    }
  };
  using SeenTable = std::map<SeenKey, Seen>;
  using SeenEntry = SeenTable::value_type;  // stays where it is until it is erased
  struct Listed {
    InstancePtr instance;
    SeenEntry* seen = nullptr;  // null: a registration
  };
  struct Service {
    std::map<ListKey, Listed> listed;
    std::map<std::uint16_t, std::size_t> ports_here;  // held_port() ▸ how many hold it
    std::uint64_t revision = 0;
    std::string last_note;    // of the last check or loss
    std::string listed_note;  // the same at the last change of what is listed
  };

  HostId host;
  std::uint64_t revision = 1, begun = 1;
  std::uint64_t refused = 0;
  InstancePtr node;                                            // kNodeId
  std::map<std::string, InstancePtr, std::less<>> own;         // by id text
  std::map<Key, std::string> own_keys;                         // ▸ id text
  std::map<std::string, std::string, std::less<>> short_ids;   // ▸ id text
  std::set<std::pair<std::string, std::string>> check_ids;     // check id, instance id
  std::set<std::pair<TimePoint, std::string>> probes_due;      // to be dropped ▸ instance id
  std::set<std::pair<TimePoint, std::string>> heartbeats_due;  // the same of heartbeats
  std::set<std::pair<TimePoint, std::string>> dropped;         // critical since ▸ instance id
  std::set<std::string, std::less<>> held;                     // ids; see Registry::hold
  SeenTable seen;
  std::uint64_t reports = 0;                // that ever came
  std::map<Key, std::set<SeenKey>> hidden;  // by the registration that hides them
  std::map<std::string, SeenEntry*, std::less<>> place_to_seen;  // by place key
  // Empty until another registry reports its first entry.
  bool has_remote = false;
  std::array<std::size_t, static_cast<std::size_t>(Source::etcd) + 1> places_of{};  // by source
  std::map<Key, std::set<SeenEntry*>> by_id;  // labels of service and id
  std::map<Contact, std::set<SeenEntry*>> by_contact;
  std::map<std::string, Service, std::less<>> services;    // by label
  std::map<std::string, TimePoint, std::less<>> memory;    // label ▸ forgotten at
  std::set<std::pair<TimePoint, std::string>> memory_due;  // the same by time
  std::set<std::pair<TimePoint, std::string>> stale_due;   // ▸ place key
  std::size_t service_count = 0;                           // that have instances
  std::size_t listed_count = 0;

  void list(const InstancePtr& before, InstancePtr after, SeenEntry* seen_as, Changes& changes,
            Moment now);
  void commit_own(const InstancePtr& before, Instance after, Changes& changes, Moment now);
  InstancePtr store_own(const InstancePtr& before, Instance after, Moment now);
  void commit_node(Instance after, Changes& changes, Moment now);
  void refresh_seen(SeenEntry& entry, Changes& changes, Moment now);
  std::optional<Instance> merge(const SeenEntry& entry, Moment now) const;
  /// The registration that is listed under these labels; null if there is none.
  const Instance* listed_own(const Key& key) const;
  /// The registration that this is a sighting of.
  std::optional<Key> hidden_by(const Sighting& sighting) const;
  void set_hidden(SeenEntry& entry);
  /// What was known under `gone`, as `before`, has left, maybe for another port or host name.
  void follow_move(const SeenKey& gone, const InstancePtr& before, Changes& changes, Moment now);
  /// Under which it is known since; the same host has the same identity. Null: nowhere.
  SeenEntry* moved_to(const SeenKey& gone, const InstancePtr& before);
  InstanceId shown_id(const SeenEntry& entry, const Sighting& sighting) const;
  /// The foreign instance that is listed under these labels; null if there is none.
  SeenEntry* shown_as(const Key& key) const;
  void list_seen(SeenEntry& entry, const InstancePtr& before, Changes& changes, Moment now);
  // places.cc
  /// Where a sighting belongs: that of another registry to the instance that it describes.
  SeenKey seat_of(const Sighting& sighting) const;
  bool has_room_for(const Sighting& sighting) const;
  void begin_remote();
  static Key id_key_of(const SeenKey& key);
  void index_seen(SeenEntry& entry);
  void unindex_seen(SeenEntry& entry);
  SeenEntry* first_of(const std::set<SeenEntry*>* entries, const auto& fits) const;
  /// What other registries alone have of the instance that `entry` now describes moves there.
  void adopt(SeenEntry& entry, Changes& changes, Moment now);
  void absorb(SeenEntry& into, SeenEntry& from, Changes& changes, Moment now);
  /// Entries without an id that were found by an address that the instance no longer has.
  static std::vector<Sighting> strangers_in(const SeenEntry& entry);
  bool shadowed_by_nearer(const SeenEntry& entry, const Instance& instance) const;
  /// `nearest`: of the sources that reported the instance before or after the change.
  void reshadow_remote(const std::set<Contact>& contacts, Source nearest, Changes& changes,
                       Moment now);
  /// Sightings of a registration that came, left or changed its port, and the one that is listed
  /// under its labels.
  void refresh_sightings_of(const Key& own, Changes& changes, Moment now);
  bool shadowed(const SeenEntry& entry, const Instance& instance) const;
  void reshadow_host(const std::string& label, Changes& changes, Moment now);
  /// Writes Service::last_note.
  void record_note(const Instance& instance, const std::string& what, Moment now);
  void reshadow_one(SeenEntry& entry, Changes& changes, Moment now);
  void remember(const std::string& label, Changes& changes, Moment now);
  /// Ends the memory of a service that has no instance.
  void forget(const std::string& label, Changes& changes);
  void recall(const std::string& label);
  void remember_until(TimePoint end, const std::string& label);
  /// Whether there is a registration of the service, listed or dropped.
  bool has_own(const std::string& label) const;
  /// The registrations that the alias checks of registration `id` watch.
  std::vector<std::string> alias_targets_of(const std::string& id) const;
  bool follows_itself(const Instance& next) const;
  /// Whether the registration is removed when another one needs its place or its label.
  bool gives_way(const Instance& instance) const {
    return instance.dropped && !held.contains(instance.id.text());
  }
  /// The ids of what has to give way before `next` is registered. `old` is what it replaces.
  Result<std::vector<std::string>, RegistryError> in_the_way(const Instance& next,
                                                             const InstancePtr& old) const;
  void index_own(const Instance& instance);
  void unindex_own(const Instance& instance);
  /// The place is seen again, or gone: its grace time no longer ends.
  void forget_grace(const Report& report);
  Changes finish(Changes changes) const {
    changes.revision = revision;
    return changes;
  }
};

}  // namespace outrider::registry
