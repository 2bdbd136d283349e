// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/aliases.h"

#include <algorithm>
#include <deque>
#include <map>

namespace outrider::registry {
namespace {

void add_target(const CheckSpec& check, std::vector<std::string>& ids) {
  if (const auto* alias = std::get_if<AliasCheck>(&check.kind)) ids.push_back(alias->instance_id);
}

}  // namespace

std::vector<std::string> alias_targets(const ServiceSpec& spec) {
  std::vector<std::string> ids;
  for (const CheckSpec& check : spec.checks)
    add_target(check, ids);
  return ids;
}

std::vector<std::string> alias_targets(const Instance& instance) {
  std::vector<std::string> ids;
  for (const CheckState& check : instance.checks)
    add_target(check.spec, ids);
  return ids;
}

/// Breadth first, and each instance once: chains may be as long as there are registrations.
std::vector<std::string> alias_ring(const std::string& id, const AliasTargets& targets_of) {
  std::map<std::string, std::string> watcher;  // id ▸ the one that led to it
  std::deque<std::string> next = {id};
  while (!next.empty()) {
    const std::string from = std::move(next.front());
    next.pop_front();
    for (const std::string& to : targets_of(from)) {
      if (!watcher.emplace(to, from).second) continue;
      if (to != id) {
        next.push_back(to);
        continue;
      }
      std::vector<std::string> ring = {id};
      do {
        ring.push_back(watcher.at(ring.back()));
      } while (ring.back() != id);
      std::reverse(ring.begin(), ring.end());
      return ring;
    }
  }
  return {};
}

}  // namespace outrider::registry
