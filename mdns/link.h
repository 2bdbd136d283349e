// SPDX-License-Identifier: Apache-2.0
// Links: the interfaces that mDNS uses, each with one or both families, and the addresses that are
// published there. RFC 6762 §14 and §20.
#pragma once

#include <string>
#include <vector>

#include "base/net.h"

namespace outrider::mdns {

struct Link {
  std::uint32_t index = 0;
  std::string name;
  bool loopback = false;
  bool v4 = false;
  bool v6 = false;
  /// Hosts of the LAN are here. False on a loopback beside real links, over which agents of this
  /// host meet whatever a firewall does to the real links.
  bool carries_lan = false;
  std::size_t mtu = 1500;
  std::vector<Prefix> prefixes;  // of the interface
  /// Published here: preferred IPv4 first; not empty. On a loopback beside real links: theirs.
  std::vector<IpAddress> addresses;
  std::vector<IpAddress> own_host;  // all addresses of the host, on any interface; sorted

  /// The source address of our datagrams; the "any" address where the kernel may choose.
  IpAddress source(IpAddress::Family family) const;
  bool has(IpAddress::Family family) const { return family == IpAddress::Family::v4 ? v4 : v6; }
  /// Octets of payload that fit one frame.
  std::size_t payload(IpAddress::Family family) const;
  bool is_neighbour(const IpAddress& address) const;
  bool is_own_host(const IpAddress& address) const;

  bool operator==(const Link&) const = default;
};

struct LinkChoice {
  /// Globs over interface names ("eth*"). An empty include list: by kind of link.
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool ipv4 = true;
  bool ipv6 = true;
};

/// Without an include list, interfaces are chosen by kind: hardware and what behaves like it
/// (VLANs, bonds); if there is none, bridges, veth ends and the like that do not belong to a
/// container engine; if there is none of these either, any interface with multicast. Never bridge
/// ports, point-to-point links and interfaces that are down. The loopback is always last.
std::vector<Link> choose_links(const std::vector<Interface>& interfaces, const LinkChoice& choice);

/// '*' and '?'.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace outrider::mdns
