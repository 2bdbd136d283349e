// SPDX-License-Identifier: Apache-2.0
// The tables of Registry, private to registry.cc (registrations, time), sightings.cc (what others
// registered) and reading.cc.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "agent/registry/registry.h"

namespace outrider::registry {

/// "09:30:00Z"
std::string clock_text(WallTime wall);

struct Registry::State {
  /// Identifies a registration, and likewise an instance that others registered.
  struct Key {
    std::string service, id;  // labels
    auto operator<=>(const Key&) const = default;
  };
  static Key key_of(const ServiceName& service, const InstanceId& id) {
    return {service.label(), id.label()};
  }
  static Key key_of(const Instance& i) { return key_of(i.service, i.id); }
  /// The order of a service's instances: registrations first.
  struct ListKey {
    bool foreign = false;
    std::string id;  // label
    auto operator<=>(const ListKey&) const = default;
  };
  static ListKey list_key(const Instance& i) { return {!i.own(), i.id.label()}; }
  /// A port of a host that one program alone can hold.
  struct Spot {
    std::string service, host;
    std::uint16_t port = 0;
    auto operator<=>(const Spot&) const = default;
  };
  static std::optional<Spot> spot_of(const Instance& i) {
    if (i.port == 0 || i.places.empty()) return std::nullopt;
    return Spot{i.service.label(), i.places.front().host, i.port};
  }

  /// What was said about a foreign instance in one place.
  struct Report {
    Sighting sighting;
    std::optional<TimePoint> stale_until;
  };
  struct Seen {
    std::map<std::string, Report> reports;  // by place key
    InstancePtr merged;
  };
  struct Service {
    std::map<ListKey, InstancePtr> listed;
    std::uint64_t revision = 0;
    std::string last_note;  // of the last check or loss
  };

  std::string host_name;
  std::uint64_t revision = 1, begun = 1;
  std::uint64_t refused = 0;
  std::map<std::string, InstancePtr, std::less<>> own;  // by id text
  std::set<Key> own_keys;
  std::set<std::pair<std::string, std::string>> check_ids;     // check id, instance id
  std::set<std::pair<TimePoint, std::string>> probes_due;      // to be dropped ▸ instance id
  std::set<std::pair<TimePoint, std::string>> heartbeats_due;  // the same of heartbeats
  std::map<Key, Seen> seen;
  std::unordered_map<std::string, Key> place_to_seen;      // by place key
  std::map<Spot, std::set<Key>> rivals;                    // instances that claim a spot
  std::map<std::string, Service, std::less<>> services;    // by label
  std::map<std::string, TimePoint, std::less<>> memory;    // label ▸ forgotten at
  std::set<std::pair<TimePoint, std::string>> memory_due;  // the same by time
  std::set<std::pair<TimePoint, std::string>> stale_due;   // ▸ place key
  std::size_t service_count = 0;                           // that have instances
  std::size_t listed_count = 0;

  void list(const InstancePtr& before, InstancePtr after, Changes& changes, Moment now);
  void commit_own(const InstancePtr& before, Instance after, Changes& changes, Moment now);
  void refresh_seen(const Key& key, Changes& changes, Moment now);
  std::optional<Instance> merge(const Key& key, const Seen& entry, Moment now) const;
  bool shadowed(const Key& key, const Instance& instance) const;
  void reshadow(const Spot& spot, Changes& changes, Moment now);
  void reshadow_host(const std::string& label, Changes& changes, Moment now);
  void reshadow_one(const Key& key, Changes& changes, Moment now);
  void remember(const std::string& label, Changes& changes, Moment now);
  void recall(const std::string& label);
  /// The registrations that the alias checks of registration `id` watch.
  std::vector<std::string> alias_targets_of(const std::string& id) const;
  bool follows_itself(const Instance& next) const;
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
