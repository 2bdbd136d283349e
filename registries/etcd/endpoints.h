// SPDX-License-Identifier: Apache-2.0
// The servers of a cluster: those that are configured, and those that the cluster names itself. The
// latter are often not reachable from here (containers), so one that fails is forgotten until it is
// named again. They are chosen by the cluster, not by the administrator, so they never get less
// protection than the configured ones: no plain HTTP beside HTTPS, and no server of this host
// (etcd's default is http://localhost:2379) beside servers of other hosts.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "registries/back_off.h"
#include "registries/etcd/options.h"

namespace outrider::registries::etcd {

class Endpoints {
 public:
  /// At least one.
  explicit Endpoints(std::vector<std::string> configured);

  std::size_t size() const { return configured_.size() + learned_.size(); }
  const std::string& at(std::size_t index) const {
    index %= size();
    return index < configured_.size() ? configured_[index] : learned_[index - configured_.size()];
  }
  void learn(const std::vector<std::string>& urls);
  void forget(const std::string& url) { std::erase(learned_, url); }
  bool is_configured(const std::string& url) const {
    return std::ranges::find(configured_, url) != configured_.end();
  }
  /// Whether what `url` has answered comes from the cluster of the configured servers, which is
  /// noted here. An empty id proves nothing.
  bool accepts(const std::string& url, std::string_view cluster_id);

 private:
  bool may_learn(const std::string& url) const;

  std::vector<std::string> configured_, learned_;
  bool only_https_ = false;
  bool allow_local_ = false;
  std::string cluster_id_;
};

}  // namespace outrider::registries::etcd
