// SPDX-License-Identifier: Apache-2.0
// What is announced on the local link, kept equal to what is registered and served. The provider
// is told of differences alone; it does the probing, claiming and defending by itself.
//
// A link bears fewer announcements (mdns::kAnnouncementsMax) than an agent bears registrations.
// Those who came too late for it wait, served by this host's DNS alone, until another leaves.
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

/// Room that became free is given to those who wait after so long, so that a burst of comings and
/// goings does not reach the link as one.
inline constexpr Duration kFillDelay = std::chrono::seconds(1);

class Announcer {
 public:
  /// `provider` may be null (mdns.provider off). The others outlive it.
  Announcer(Env& env, const registry::Registry& registry, mdns::Provider* provider,
            farp::AnnouncementProfile profile);

  /// `after` is a registration as it is now; null: it is gone.
  void apply(const registry::InstancePtr& before, const registry::InstancePtr& after);
  void withdraw_all();

  void on_announced(mdns::AnnouncementId id, const std::string& label);
  void on_conflict(mdns::AnnouncementId id);

  /// What is on the wire for an instance: "_hello._tcp hello-1", with the label it really has.
  struct Live {
    std::string type;
    std::string label;
    bool announced = false;             // claimed; else still probing
    bool conflict = false;              // given up
    std::vector<std::string> left_out;  // metadata keys that did not fit
  };
  std::vector<Live> live(std::string_view instance_id) const;
  std::size_t size() const { return held_.size(); }
  /// Registrations that are not, or not under every type, announced because the link is full.
  std::size_t waiting() const { return waiting_.size(); }
  void set_profile(farp::AnnouncementProfile profile) { profile_ = std::move(profile); }

 private:
  struct Held {
    mdns::Announcement wanted;
    mdns::AnnouncementId id = 0;
    Live live;
  };
  using Key = std::pair<std::string, std::string>;  // instance id, type
  using Place = std::map<Key, Held>::iterator;

  void publish(const registry::Instance& instance, const farp::AnnouncementPlan& plan);
  Place withdraw(Place place);
  void fill();

  Env& env_;
  const registry::Registry& registry_;
  mdns::Provider* provider_;
  farp::AnnouncementProfile profile_;
  std::map<Key, Held> held_;
  std::unordered_map<mdns::AnnouncementId, Place> by_id_;
  std::set<std::string> waiting_;  // instance ids
  bool full_ = false;              // the provider has refused one; fill() asks it again
  Timer fill_timer_;
  mdns::AnnouncementId next_ = 1;
};

}  // namespace outrider
