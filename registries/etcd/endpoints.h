// SPDX-License-Identifier: Apache-2.0
// The servers of a cluster: those that are configured, and those that the cluster names itself. The
// latter are often not reachable from here (containers), so one that fails is forgotten until it is
// named again.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "registries/back_off.h"
#include "registries/etcd/options.h"

namespace outrider::registries::etcd {

class Endpoints {
 public:
  /// At least one.
  explicit Endpoints(std::vector<std::string> configured) : configured_(std::move(configured)) {
    if (configured_.size() > kEndpointsMax) configured_.resize(kEndpointsMax);
  }

  std::size_t size() const { return configured_.size() + learned_.size(); }
  const std::string& at(std::size_t index) const {
    index %= size();
    return index < configured_.size() ? configured_[index] : learned_[index - configured_.size()];
  }
  void learn(const std::vector<std::string>& urls) {
    for (const std::string& url : urls) {
      const bool known = std::ranges::find(configured_, url) != configured_.end() ||
                         std::ranges::find(learned_, url) != learned_.end();
      if (!known && size() < kEndpointsMax) learned_.push_back(url);
    }
  }
  void forget(const std::string& url) { std::erase(learned_, url); }

 private:
  std::vector<std::string> configured_, learned_;
};

}  // namespace outrider::registries::etcd
