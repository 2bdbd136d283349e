// SPDX-License-Identifier: Apache-2.0
// What stands behind Registry, shared by registry.cc (registrations, time, reading) and
// sightings.cc (what others say). Private to these two.
#pragma once

#include <map>
#include <set>
#include <unordered_map>

#include "agent/registry/registry.h"

namespace outrider::registry {

/// "09:30:00Z"
std::string clock_text(WallTime wall);

struct Registry::State {
  struct Place {
    Sighting sighting;
    std::optional<TimePoint> stale_until;
  };
  /// Everything that is told of one foreign instance.
  struct Seen {
    std::map<std::string, Place> places;  // by place key
    InstancePtr merged;
  };
  struct Service {
    std::map<std::string, InstancePtr> listed;  // by "0LABEL" (own) or "1LABEL" (foreign)
    std::uint64_t revision = 0;
    std::string last_note;  // of the last check or loss
  };

  std::string host_name;
  std::uint64_t revision = 1, begun = 1;
  std::uint64_t refused = 0;
  std::map<std::string, InstancePtr, std::less<>> own;          // by id text
  std::set<std::string> own_labels;                             // "service/label"
  std::set<std::pair<std::string, std::string>> check_ids;      // check id, instance id
  std::set<std::pair<TimePoint, std::string>> probes_due;       // to be dropped ▸ instance id
  std::set<std::pair<TimePoint, std::string>> heartbeats_due;   // the same of heartbeats
  std::unordered_map<std::string, Seen> seen;                   // by "service/label"
  std::unordered_map<std::string, std::string> place_to_seen;   // place key ▸ key of seen
  std::unordered_map<std::string, std::set<std::string>> spot;  // "service|host|port" ▸ seen keys
  std::map<std::string, Service, std::less<>> services;         // by label
  std::map<std::string, TimePoint, std::less<>> memory;         // label ▸ forgotten at
  std::set<std::pair<TimePoint, std::string>> memory_due;       // the same by time
  std::set<std::pair<TimePoint, std::string>> stale_due;        // ▸ place key
  std::size_t service_count = 0;                                // that have instances
  std::size_t listed_count = 0;

  static std::string label_key(const Instance& i) { return i.service.label() + '/' + i.id.label(); }
  /// Own ones come before those of others.
  static std::string list_key(const Instance& i) {
    return (i.own() ? kOwnMark : kForeignMark) + i.id.label();
  }
  static constexpr char kOwnMark = '0', kForeignMark = '1';
  static std::string spot_of(const Instance& i) {
    if (i.port == 0 || i.places.empty()) return {};
    return i.service.label() + '|' + i.places.front().host + '|' + std::to_string(i.port);
  }

  void list(const InstancePtr& before, InstancePtr after, Changes& changes, Moment now);
  void commit_own(const InstancePtr& before, Instance after, Changes& changes, Moment now);
  void refresh_seen(const std::string& key, Changes& changes, Moment now);
  std::optional<Instance> merge(const std::string& key, const Seen& entry, Moment now) const;
  bool shadowed(const std::string& key, const Instance& instance) const;
  void reshadow(const std::string& spot_key, Changes& changes, Moment now);
  void reshadow_host(const std::string& label, Changes& changes, Moment now);
  void reshadow_one(const std::string& key, Changes& changes, Moment now);
  void remember(const std::string& label, Changes& changes, Moment now);
  void recall(const std::string& label);
  /// Ids that a registration follows by alias checks.
  std::vector<std::string> followed(const std::string& id) const;
  bool follows_itself(const Instance& next) const;
  void index_own(const Instance& instance);
  void unindex_own(const Instance& instance);
  /// Its place is seen again, or gone: the grace is not to be ended any more.
  void forget_grace(const Place& place);
  Changes finish(Changes changes) const {
    changes.revision = revision;
    return changes;
  }
};

}  // namespace outrider::registry
