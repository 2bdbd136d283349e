// SPDX-License-Identifier: Apache-2.0
// What is announced on the local link, kept equal to what is registered and served. The provider
// is told of differences alone; it does the probing, claiming and defending by itself.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/registry/projection.h"
#include "base/log.h"
#include "mdns/provider.h"

namespace outrider {

class Publisher {
 public:
  /// `provider` may be null (mdns.provider off).
  Publisher(Log& log, mdns::Provider* provider, registry::AnnouncementProfile profile);

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
  void set_profile(registry::AnnouncementProfile profile) { profile_ = std::move(profile); }

 private:
  struct Held {
    registry::AnnouncementPlan plan;
    mdns::AnnouncementId id = 0;
    Live live;
  };
  using Key = std::pair<std::string, std::string>;  // instance id, type

  Log& log_;
  mdns::Provider* provider_;
  registry::AnnouncementProfile profile_;
  std::map<Key, Held> held_;
  mdns::AnnouncementId next_ = 1;
};

}  // namespace outrider
