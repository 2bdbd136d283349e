// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/load_order.h"

#include <algorithm>

#include "agent/registry/served.h"

namespace outrider::registry {
namespace {

constexpr double kEqualWithin = 1.25;

/// Served instances with a port; none where there is no choice, or too large a one.
std::vector<InstancePtr> choice(const Registry& registry, const std::string& label) {
  std::vector<InstancePtr> served = choose_served(registry.instances(label), {}).served;
  std::erase_if(served, [](const InstancePtr& instance) { return instance->port == 0; });
  if (served.size() < 2 || served.size() > kOrderedInstancesMax) served.clear();
  return served;
}

/// Calls `take` for each choice until there are too many endpoints.
template <class Take>
void each_choice(const Registry& registry, const HostView& host, Take take) {
  std::size_t left = kOrderedEndpointsMax;
  for (const std::string& label : registry.services()) {
    const std::vector<InstancePtr> served = choice(registry, label);
    std::vector<std::vector<Endpoint>> endpoints;
    std::size_t count = 0;
    for (const InstancePtr& instance : served) {
      endpoints.emplace_back();
      for (const IpAddress& address : served_addresses(*instance, host))
        endpoints.back().push_back({address, instance->port});
      count += endpoints.back().size();
    }
    if (count > left) return;
    left -= count;
    if (!served.empty()) take(label, served, endpoints);
  }
}

}  // namespace

std::vector<std::uint16_t> odds_of(const std::vector<double>& costs) {
  std::vector<std::uint16_t> odds;
  for (const double cost : costs) {
    // Twice the number of pairs that it wins; a tie is half a win, and it ties with itself.
    std::size_t wins = 0;
    for (const double other : costs)
      wins += other > cost * kEqualWithin ? 2 : cost > other * kEqualWithin ? 0 : 1;
    const std::size_t most = 2 * (costs.size() - 1);
    const std::size_t share = most == 0 ? kOddsEqual : kOddsMost * (wins - 1) / most;
    odds.push_back(static_cast<std::uint16_t>(std::max<std::size_t>(kOddsLeast, share)));
  }
  return odds;
}

std::vector<Endpoint> LoadOrder::endpoints(const Registry& registry, const HostView& host) {
  std::vector<Endpoint> out;
  each_choice(registry, host, [&](const auto&, const auto&, const auto& endpoints) {
    for (const std::vector<Endpoint>& own : endpoints)
      out.insert(out.end(), own.begin(), own.end());
  });
  return out;
}

std::vector<std::string> LoadOrder::sample(const Registry& registry, const HostView& host,
                                           const Load& load, TimePoint now) {
  std::vector<std::string> changed;
  std::map<std::string, ServiceOdds, std::less<>> next;
  each_choice(registry, host, [&](const auto& label, const auto& served, const auto& endpoints) {
    const auto known = services_.find(label);
    ServiceOdds& instances = next[label];
    std::vector<double> costs;
    for (std::size_t i = 0; i < served.size(); ++i) {
      InstanceOdds& instance = instances[served[i]->id.label()];
      if (known != services_.end())
        if (const auto was = known->second.find(served[i]->id.label()); was != known->second.end())
          instance = was->second;
      std::uint32_t connections = 0;
      Duration rtt{};
      for (const Endpoint& endpoint : endpoints[i])
        if (const auto found = load.find(endpoint); found != load.end()) {
          connections += found->second.connections;
          rtt = std::max(rtt, found->second.rtt);
        }
      instance.round_trip.add(rtt, now);
      costs.push_back(instance.round_trip.cost(connections));
    }
    const std::vector<std::uint16_t> odds = odds_of(costs);
    bool same = true;
    for (std::size_t i = 0; i < served.size(); ++i) {
      InstanceOdds& instance = instances[served[i]->id.label()];
      same = same && instance.odds == odds[i];
      instance.odds = odds[i];
    }
    if (!same) changed.push_back(label);
  });
  services_ = std::move(next);
  return changed;
}

std::uint16_t LoadOrder::odds(const Instance& instance) const {
  const auto service = services_.find(instance.service.label());
  if (service == services_.end()) return kOddsEqual;
  const auto found = service->second.find(instance.id.label());
  return found == service->second.end() ? kOddsEqual : found->second.odds;
}

}  // namespace outrider::registry
