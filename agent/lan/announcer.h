// SPDX-License-Identifier: Apache-2.0
// Keeps the announcements on the local link equal to the registrations that are served, and to the
// copies of foreign instances (agent/exports.h). It passes only differences to the provider, which
// probes, claims and defends names by itself.
//
// A provider takes fewer announcements (mdns::kAnnouncementsMax) than an agent takes registrations.
// Registrations beyond the limit wait, answered by this host's DNS alone, until one leaves.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/farp/announcements.h"
#include "agent/registry/registry.h"
#include "base/env.h"
#include "mdns/provider.h"

namespace outrider {

/// Free room is given to waiting registrations after this delay, so that a burst of changes does
/// not reach the link as a burst.
inline constexpr Duration kFillDelay = std::chrono::seconds(1);

class Announcer {
 public:
  /// `provider` is null when mdns.provider is off. Everything outlives the announcer.
  Announcer(Env& env, const registry::Registry& registry, mdns::Provider* provider,
            farp::AnnouncementProfile profile);

  /// Follows a change of a registration; `after` is null when it left the lists.
  void apply(const registry::InstancePtr& before, const registry::InstancePtr& after);
  /// A foreign instance, announced at these addresses until withdraw_copy(). `key` has a '/', which
  /// no id of a registration has; `via` is the engine that it is from, a literal.
  struct Copy {
    registry::InstancePtr instance;
    std::vector<IpAddress> addresses;
    std::string_view via;
  };
  void announce_copy(const std::string& key, Copy copy);
  void withdraw_copy(const std::string& key);
  void withdraw_all();

  void on_announced(mdns::AnnouncementId id, const std::string& label);
  void on_conflict(mdns::AnnouncementId id);

  /// One announcement of an instance, with the label that it has on the link.
  struct Live {
    std::string type;
    std::string label;
    bool announced = false;             // false: still probing
    bool conflict = false;              // given up: another host owns the name
    std::vector<std::string> left_out;  // metadata keys that did not fit
  };
  std::vector<Live> live(std::string_view key) const;
  std::size_t size() const { return held_.size(); }
  /// Registrations that lack an announcement under one type at least, because the link is full.
  std::size_t waiting() const { return waiting_.size(); }
  void set_profile(farp::AnnouncementProfile profile) { profile_ = std::move(profile); }

 private:
  struct Held {
    mdns::Announcement wanted;
    mdns::AnnouncementId id = 0;
    Live live;
  };
  using Key = std::pair<std::string, std::string>;  // id of a registration or key of a copy, type
  using Place = std::map<Key, Held>::iterator;

  void announce(const std::string& key, const std::vector<std::string>& subtypes,
                const std::vector<farp::AnnouncementPlan>& plans);
  void publish(const std::string& key, const std::vector<std::string>& subtypes,
               const farp::AnnouncementPlan& plan);
  void announce(const std::string& key, const Copy& copy);
  Place withdraw(Place place);
  void fill();

  Env& env_;
  const registry::Registry& registry_;
  mdns::Provider* provider_;
  farp::AnnouncementProfile profile_;
  std::map<Key, Held> held_;
  std::unordered_map<mdns::AnnouncementId, Place> by_id_;
  std::map<std::string, Copy> copies_;
  std::set<std::string> waiting_;  // ids of registrations, keys of copies
  bool full_ = false;              // the provider refused one; fill() tries again
  Timer fill_timer_;
  mdns::AnnouncementId next_ = 1;
};

}  // namespace outrider
