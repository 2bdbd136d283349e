// SPDX-License-Identifier: Apache-2.0
// The servers of a cluster: those that are configured, and those that the cluster names itself. The
// latter are often not reachable from here (containers), so one that fails is forgotten until it is
// named again.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "base/env.h"
#include "registries/etcd/options.h"

namespace outrider::registries::etcd {

/// Between tries of all endpoints, doubled from one to the next, ±50 %.
inline constexpr Duration kBackOffMin = std::chrono::milliseconds(200);
inline constexpr Duration kBackOffMax = std::chrono::seconds(10);
/// What worked for this long starts the back-off again.
inline constexpr Duration kBackOffReset = std::chrono::seconds(30);

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

/// When to try again: at once until all endpoints have been tried, then after a while.
class BackOff {
 public:
  Duration next(Random& random, std::size_t endpoints) {
    if (at_once_ < (waited_ ? endpoints - 1 : endpoints)) {
      ++at_once_;
      return Duration::zero();
    }
    at_once_ = 0;
    waited_ = true;
    const Duration wait = random.jitter(wait_, 50);
    wait_ = std::min(wait_ * 2, kBackOffMax);
    return wait;
  }
  void reset() { *this = {}; }

 private:
  std::size_t at_once_ = 0;
  bool waited_ = false;
  Duration wait_ = kBackOffMin;
};

}  // namespace outrider::registries::etcd
