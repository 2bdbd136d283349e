// SPDX-License-Identifier: Apache-2.0
#include "probes/target.h"

#include <algorithm>

namespace outrider::probes {
namespace {

/// Well-known addresses of metadata services that are not link-local: EC2 over IPv6, the wire
/// server of Azure, Alibaba, Oracle's older one.
bool is_metadata(const IpAddress& address) {
  static const IpAddress kAddresses[] = {
      *IpAddress::parse("fd00:ec2::254"), IpAddress::v4(168, 63, 129, 16),
      IpAddress::v4(100, 100, 100, 200), IpAddress::v4(192, 0, 0, 192)};
  return std::find(std::begin(kAddresses), std::end(kAddresses), address) != std::end(kAddresses);
}

}  // namespace

const char* to_string(TargetError error) {
  switch (error) {
    case TargetError::not_ours:
      return "not_ours";
    case TargetError::link_local:
      return "link_local";
    case TargetError::metadata:
      return "metadata";
    case TargetError::multicast:
      return "multicast";
    case TargetError::unspecified:
      return "unspecified";
  }
  return "?";
}

const char* explain(TargetError error) {
  switch (error) {
    case TargetError::not_ours:
      return "not an address of this host; set allow_remote to probe other hosts";
    case TargetError::link_local:
      return "link-local addresses are never probed";
    case TargetError::metadata:
      return "the metadata service of a cloud is never probed";
    case TargetError::multicast:
      return "multicast and broadcast addresses cannot be probed";
    case TargetError::unspecified:
      return "an address and a port, or a socket path, is needed";
  }
  return "?";
}

Result<void, TargetError> check_target(const StreamAddress& target, std::span<const IpAddress> own,
                                       bool allow_remote) {
  if (const auto* path = std::get_if<UnixPath>(&target)) {
    if (path->path.empty()) return failure(TargetError::unspecified);
    return {};
  }
  const auto& [address, port] = std::get<Endpoint>(target);
  if (address.is_any() || port == 0) return failure(TargetError::unspecified);
  if (address.is_multicast() || address == IpAddress::v4(255, 255, 255, 255))
    return failure(TargetError::multicast);
  if (address.is_link_local()) return failure(TargetError::link_local);
  if (is_metadata(address)) return failure(TargetError::metadata);
  if (allow_remote || address.is_loopback()) return {};
  if (std::find(own.begin(), own.end(), address) == own.end())
    return failure(TargetError::not_ours);
  return {};
}

std::vector<IpAddress> own_addresses(const std::vector<Interface>& interfaces) {
  std::vector<IpAddress> own;
  for (const Interface& interface : interfaces)
    for (const Prefix& prefix : interface.addresses)
      own.push_back(prefix.address);
  return own;
}

}  // namespace outrider::probes
