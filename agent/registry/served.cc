// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/served.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::registry {

ServedChoice choose_served(const std::vector<InstancePtr>& all, const ServingRules& rules) {
  ServedChoice choice;
  for (const InstancePtr& instance : all) {
    const bool enough = !rules.only_passing || instance->health == Health::passing;
    (instance->served() && enough ? choice.served : choice.rest).push_back(instance);
  }
  if (!choice.served.empty()) return choice;
  choice.hidden = rules.all_unhealthy == AllUnhealthy::nxdomain;
  if (rules.all_unhealthy != AllUnhealthy::last_resort) return choice;
  const auto resort = [](const InstancePtr& instance) {
    return instance->health == Health::critical && !instance->shadowed;
  };
  std::ranges::copy_if(choice.rest, std::back_inserter(choice.served), resort);
  std::erase_if(choice.rest, resort);
  choice.last_resort = !choice.served.empty();
  return choice;
}

bool is_bridged(std::string_view label, const std::vector<InstancePtr>& served,
                const Bridged* bridged) {
  if (bridged == nullptr || bridged->addresses.empty() || served.empty()) return false;
  if (std::ranges::any_of(bridged->labels,
                          [&](const auto& known) { return known == label || known == "*"; }))
    return true;
  return std::ranges::any_of(served, [](const InstancePtr& instance) {
    const auto found = instance->metadata.find(std::string(kBridgeKey));
    return found != instance->metadata.end() && found->second == "true";
  });
}

std::string_view failure_of(const Instance& instance) {
  for (const CheckState& check : instance.checks)
    if (check.health == CheckHealth::critical && !check.output.empty())
      return first_line(check.output);
  return {};
}

std::vector<InstancePtr> prefer_passing(std::vector<InstancePtr> served) {
  std::vector<InstancePtr> passing = choose_served(served, {.only_passing = true}).served;
  return passing.empty() ? served : passing;
}

std::vector<IpAddress> served_addresses(const Instance& instance, const HostView& host) {
  std::vector<IpAddress> out;
  const auto add = [&](const IpAddress& address) {
    const bool scoped = address.is_v6() && address.is_link_local();
    const bool foreign_loopback = address.is_loopback() && !instance.on_this_host;
    const IpAddress plain = address.with_scope(0);
    if (!scoped && !foreign_loopback && std::find(out.begin(), out.end(), plain) == out.end())
      out.push_back(plain);
  };
  if (instance.own() && instance.addresses.empty()) {
    if (instance.scope != Scope::host)
      for (const IpAddress& address : host.addresses)
        add(address);
    if (out.empty()) add(IpAddress::loopback(IpAddress::Family::v4));
  }
  for (const PlacedAddress& placed : instance.addresses)
    add(placed.address);
  return out;
}

bool is_on_link(const Instance& instance, const IpAddress& address, const HostView& host) {
  const auto is_met = [&](std::uint32_t interface) {
    return std::ranges::any_of(instance.addresses, [&](const PlacedAddress& placed) {
      return placed.address.with_scope(0) == address &&
             (placed.interface == 0 || interface == 0 || placed.interface == interface);
    });
  };
  bool found = false;
  for (std::size_t i = 0; i < host.subnets.size(); ++i) {
    const Prefix& subnet = host.subnets[i];
    if (subnet.address.with_scope(0) == address) return false;
    found = found || (subnet.contains(address) &&
                      is_met(i < host.interfaces.size() ? host.interfaces[i] : 0));
  }
  return found;
}

Nearness nearness_of(const Instance& instance, const HostView& host) {
  if (instance.on_this_host) return Nearness::this_host;
  const bool near = std::ranges::any_of(instance.addresses, [&](const PlacedAddress& placed) {
    return std::ranges::any_of(
        host.subnets, [&](const Prefix& subnet) { return subnet.contains(placed.address); });
  });
  return near ? Nearness::same_subnet : Nearness::elsewhere;
}

std::uint8_t rank_of(const Instance& instance, const HostView& host) {
  const auto rank = static_cast<std::uint8_t>(nearness_of(instance, host));
  return instance.health == Health::warning ? rank + kRankWarning : rank;
}

std::string node_of(const Instance& instance, const HostView& host) {
  if (instance.on_this_host || instance.places.empty()) return own_node(host);
  if (!instance.stated->node.empty()) return instance.stated->node;
  // Registries name no hosts, nor do copies.
  const bool nameless = is_remote(instance.source) || !instance.places.front().via.empty();
  if (nameless && !instance.addresses.empty())
    return instance.addresses.front().address.to_string();
  return instance.places.front().host;
}

std::uint16_t srv_weight(const Instance& instance) {
  return instance.health == Health::warning ? 1 : std::max<std::uint16_t>(1, instance.weight);
}

}  // namespace outrider::registry
