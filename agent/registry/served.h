// SPDX-License-Identifier: Apache-2.0
// Who is served: which instances of a service are handed out, with which addresses, and how near
// they are. DNS zones, `why`, selection and the Consul dialect all call these functions, so that
// they agree. Pure.
//
//   Registry::instances ▸ choose_served ▸ served_addresses, rank_of ▸ records, candidates, entries
//
// Served means usable (passing or warning), not shadowed and not dropped; ServingRules narrow or
// widen that. To change the rule, change choose_served and nothing else.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "agent/registry/host_view.h"
#include "agent/registry/model.h"
#include "agent/registry/serving_rules.h"

namespace outrider::registry {

/// The instances of one service, divided; each part keeps its order.
struct ServedChoice {
  std::vector<InstancePtr> served;
  std::vector<InstancePtr> rest;
  bool last_resort = false;  // nothing is healthy; `served` are critical instances
  bool hidden = false;       // nothing is served, and the name does not exist for that time
};
ServedChoice choose_served(const std::vector<InstancePtr>& all, const ServingRules& rules);

/// Whether the name of this service, some of whose instances are served, is one of these.
bool is_bridged(std::string_view label, const std::vector<InstancePtr>& served,
                const Bridged* bridged);

/// Why the instance fails, as extended errors and `why` quote it: the first line that its first
/// failing check has said; empty if no check fails or none of them said anything.
std::string_view failure_of(const Instance& instance);

/// The passing ones where there are any, else all.
std::vector<InstancePtr> prefer_passing(std::vector<InstancePtr> served);

/// The addresses that unicast DNS and the API give for an instance: never fe80::, and loopback only
/// for instances of this host. Empty if it cannot be reached from here.
std::vector<IpAddress> served_addresses(const Instance& instance, const HostView& host);
/// Whether answers can name it: an SRV record needs an address too, that of its target. An
/// announcement may be known before its address is. Own instances without addresses have those of
/// the host, and at least loopback, so no host is needed here.
inline bool is_reachable(const Instance& instance) {
  return !served_addresses(instance, {}).empty();
}

/// Whether an instance that was heard of over mDNS may lead there: to an address on the link where
/// it was heard, and not to this host. Anyone can announce any address, and a web page that made
/// this host connect to it would reach what only this host does.
bool is_on_link(const Instance& instance, const IpAddress& address, const HostView& host);

enum class Nearness : std::uint8_t { this_host, same_subnet, elsewhere };
Nearness nearness_of(const Instance& instance, const HostView& host);

/// The order of answers: by nearness, instances with warnings behind all passing ones.
std::uint8_t rank_of(const Instance& instance, const HostView& host);
/// The rank of the first instance with a warning.
inline constexpr std::uint8_t kRankWarning = 8;

inline const std::string& own_node(const HostView& host) {
  return host.node.empty() ? host.name : host.node;
}
/// The node name of an instance's host; the SRV target if the host states none.
std::string node_of(const Instance& instance, const HostView& host);

/// As SRV records state it: at least 1, and 1 for instances with warnings.
std::uint16_t srv_weight(const Instance& instance);

}  // namespace outrider::registry
