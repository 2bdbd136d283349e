// SPDX-License-Identifier: Apache-2.0
#include "base/reach.h"

#include <algorithm>

#include "base/assert.h"

namespace outrider {
namespace {

/// Well-known addresses of metadata services outside 169.254.0.0/16: EC2 and OpenStack over IPv6,
/// the wire server of Azure, Alibaba, Oracle's older one.
bool is_metadata(const IpAddress& address) {
  static const IpAddress kAddresses[] = {
      *IpAddress::parse("fd00:ec2::254"), *IpAddress::parse("fe80::a9fe:a9fe"),
      IpAddress::v4(168, 63, 129, 16), IpAddress::v4(100, 100, 100, 200),
      IpAddress::v4(192, 0, 0, 192)};
  return std::find(std::begin(kAddresses), std::end(kAddresses), address.with_scope(0)) !=
         std::end(kAddresses);
}

/// What holds whatever the addresses of this host are.
Result<void, ReachError> check_address(const Endpoint& target, Reach reach) {
  const auto& [address, port] = target;
  if (address.is_any() || port == 0) return failure(ReachError::unspecified);
  if (address.is_multicast() || address == IpAddress::v4(255, 255, 255, 255))
    return failure(ReachError::multicast);
  if (is_metadata(address)) return failure(ReachError::metadata);
  // IPv6 peers on a link without a router have nothing else; over IPv4 it is where clouds serve
  // credentials.
  const bool on_link = address.is_v6() && address.scope() != 0 && reach != Reach::this_host;
  if (address.is_link_local() && !on_link) return failure(ReachError::link_local);
  return {};
}

}  // namespace

const char* to_string(ReachError error) {
  switch (error) {
    case ReachError::not_ours:
      return "not_ours";
    case ReachError::loopback:
      return "loopback";
    case ReachError::link_local:
      return "link_local";
    case ReachError::metadata:
      return "metadata";
    case ReachError::multicast:
      return "multicast";
    case ReachError::unspecified:
      return "unspecified";
  }
  OUTRIDER_UNREACHABLE();
}

const char* explain(ReachError error) {
  switch (error) {
    case ReachError::not_ours:
      return "not an address of this host; set allow_remote in a check to ask other hosts";
    case ReachError::loopback:
      return "a peer's loopback address is not this host's";
    case ReachError::link_local:
      return "link-local addresses are never asked";
    case ReachError::metadata:
      return "the metadata service of a cloud is never asked";
    case ReachError::multicast:
      return "multicast and broadcast addresses cannot be asked";
    case ReachError::unspecified:
      return "an address and a port, or a socket path, is needed";
  }
  OUTRIDER_UNREACHABLE();
}

Result<void, ReachError> check_reach(const StreamAddress& target, std::span<const IpAddress> own,
                                     Reach reach) {
  if (const auto* path = std::get_if<UnixPath>(&target)) {
    if (path->path.empty()) return failure(ReachError::unspecified);
    return {};
  }
  const Endpoint& endpoint = std::get<Endpoint>(target);
  if (auto allowed = check_address(endpoint, reach); !allowed) return allowed;
  const bool loopback = endpoint.address.is_loopback();
  switch (reach) {
    case Reach::any_host:
      return {};
    case Reach::lan:
      if (loopback) return failure(ReachError::loopback);
      return {};
    case Reach::this_host:
      if (!loopback && std::find(own.begin(), own.end(), endpoint.address) == own.end())
        return failure(ReachError::not_ours);
      return {};
  }
  OUTRIDER_UNREACHABLE();
}

std::vector<IpAddress> own_addresses(const std::vector<Interface>& interfaces) {
  std::vector<IpAddress> own;
  for (const Interface& interface : interfaces)
    for (const Prefix& prefix : interface.addresses)
      own.push_back(prefix.address);
  return own;
}

Result<void, ReachError> check_reach(const StreamAddress& target, Network& network, Reach reach) {
  // Most requests go to loopback: the kernel is not asked for those.
  auto allowed = check_reach(target, {}, reach);
  if (allowed || allowed.error() != ReachError::not_ours) return allowed;
  return check_reach(target, own_addresses(network.interfaces()), reach);
}

}  // namespace outrider
