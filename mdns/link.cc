// SPDX-License-Identifier: Apache-2.0
#include "mdns/link.h"

#include <algorithm>
#include <array>

#include "mdns/limits.h"

namespace outrider::mdns {
namespace {

/// Order of preference without an include list; `never` is not used.
enum class Rank : std::uint8_t { lan, virtual_link, plumbing, never };

bool any_glob(const std::vector<std::string>& globs, std::string_view name) {
  return std::any_of(globs.begin(), globs.end(),
                     [&](const std::string& glob) { return glob_match(glob, name); });
}

bool usable(const Interface& interface, const LinkChoice& choice) {
  if (!interface.up || (!interface.multicast && !interface.loopback)) return false;
  return std::any_of(interface.addresses.begin(), interface.addresses.end(), [&](const Prefix& p) {
    return p.address.is_v4() ? choice.ipv4 : choice.ipv6 && !interface.loopback;
  });
}

Rank rank(const Interface& interface) {
  static constexpr std::array kVirtual = {
      "veth",   "bridge",    "tun",   "macvlan", "macvtap", "ipvlan", "ipvtap",     "vxlan",
      "geneve", "wireguard", "dummy", "ifb",     "nlmon",   "vcan",   "gre",        "gretap",
      "ip6gre", "ip6gretap", "ipip",  "ip6tnl",  "sit",     "xfrm",   "openvswitch"};
  static constexpr std::array kPlumbing = {"docker*", "br-*",   "cni*",  "virbr*",   "podman*",
                                           "lxcbr*",  "lxdbr*", "cali*", "flannel*", "kube*",
                                           "vnet*",   "tap*",   "tun*",  "wg*",      "tailscale*"};
  if (interface.bridge_port || interface.point_to_point) return Rank::never;
  const bool is_virtual = std::any_of(kVirtual.begin(), kVirtual.end(),
                                      [&](const char* kind) { return interface.kind == kind; });
  if (!is_virtual) return Rank::lan;
  const bool is_plumbing = std::any_of(kPlumbing.begin(), kPlumbing.end(), [&](const char* glob) {
    return glob_match(glob, interface.name);
  });
  return is_plumbing ? Rank::plumbing : Rank::virtual_link;
}

/// IPv4 first, then global IPv6. Link-local addresses only if there are no others: an AAAA has no
/// scope, so most programs cannot connect to them.
std::vector<IpAddress> published(const Interface& interface) {
  std::vector<IpAddress> out;
  const auto take = [&](auto&& wanted) {
    for (const Prefix& prefix : interface.addresses) {
      const IpAddress address = prefix.address.with_scope(0);
      if (out.size() < kOwnAddressesMax && wanted(address) &&
          std::find(out.begin(), out.end(), address) == out.end())
        out.push_back(address);
    }
  };
  take([](const IpAddress& a) { return a.is_v4() && !a.is_link_local(); });
  take([](const IpAddress& a) { return a.is_v6() && !a.is_link_local(); });
  if (out.empty()) take([](const IpAddress& a) { return a.is_v4(); });
  if (out.empty()) take([](const IpAddress&) { return true; });
  return out;
}

/// What is published on the loopback, so that an instance has the same addresses there as on the
/// LAN: those of the real links that are valid without a scope.
std::vector<IpAddress> published_beside(const std::vector<Link>& links) {
  std::vector<IpAddress> out;
  for (const bool v4 : {true, false})
    for (const Link& link : links)
      for (const IpAddress& address : link.addresses)
        if (address.is_v4() == v4 && (v4 || !address.is_link_local()) &&
            out.size() < kOwnAddressesMax && std::ranges::find(out, address) == out.end())
          out.push_back(address);
  return out;
}

Link make_link(const Interface& interface, const LinkChoice& choice) {
  Link link;
  link.index = interface.index;
  link.name = interface.name;
  link.loopback = interface.loopback;
  link.mtu = interface.mtu;
  link.prefixes = interface.addresses;
  link.addresses = published(interface);
  for (const Prefix& prefix : interface.addresses) {
    // Linux does not multicast over IPv6 on its loopback.
    if (prefix.address.is_v6()) link.v6 = choice.ipv6 && !interface.loopback;
    if (prefix.address.is_v4()) link.v4 = choice.ipv4;
  }
  return link;
}

}  // namespace

IpAddress Link::source(IpAddress::Family family) const {
  for (const Prefix& prefix : prefixes) {
    if (prefix.address.family() != family) continue;
    // §11 leaves it open; link-local sources need no router to be answered.
    if (family == IpAddress::Family::v4 || prefix.address.is_link_local()) return prefix.address;
  }
  return IpAddress::any(family);
}

std::size_t Link::payload(IpAddress::Family family) const {
  const std::size_t headers = family == IpAddress::Family::v4 ? 28 : 48;
  const std::size_t most = family == IpAddress::Family::v4 ? kPayloadV4 : kPayloadV6;
  if (mtu < headers + kPayloadMin) return kPayloadMin;
  return std::min(mtu - headers, most);
}

bool Link::is_neighbour(const IpAddress& address) const {
  if (address.is_v6() && address.is_link_local()) return true;
  return is_own_host(address) ||
         std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix& prefix) { return prefix.contains(address); });
}

bool Link::is_own_host(const IpAddress& address) const {
  return std::binary_search(own_host.begin(), own_host.end(), address.with_scope(0));
}

std::vector<Link> choose_links(const std::vector<Interface>& interfaces, const LinkChoice& choice) {
  std::vector<const Interface*> candidates;
  const Interface* loopback = nullptr;
  Rank best = Rank::never;
  for (const Interface& interface : interfaces) {
    if (!usable(interface, choice) || any_glob(choice.exclude, interface.name)) continue;
    if (interface.loopback) {
      if (loopback == nullptr) loopback = &interface;
      continue;
    }
    candidates.push_back(&interface);
    best = std::min(best, rank(interface));
  }
  std::vector<Link> links;
  for (const Interface* interface : candidates) {
    const bool wanted = choice.include.empty() ? best != Rank::never && rank(*interface) == best
                                               : any_glob(choice.include, interface->name);
    if (wanted && links.size() < kLinksMax - 1) links.push_back(make_link(*interface, choice));
  }
  for (Link& link : links)
    link.carries_lan = true;
  if (loopback != nullptr) {
    Link link = make_link(*loopback, choice);
    link.carries_lan = links.empty();
    std::vector<IpAddress> of_lan = published_beside(links);
    if (!of_lan.empty()) link.addresses = std::move(of_lan);
    links.push_back(std::move(link));
  }

  std::vector<IpAddress> own;
  for (const Interface& interface : interfaces)
    for (const Prefix& prefix : interface.addresses)
      own.push_back(prefix.address.with_scope(0));
  std::sort(own.begin(), own.end());
  for (Link& link : links)
    link.own_host = own;
  return links;
}

bool glob_match(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size())
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*')
      ++p, ++t;
    else if (p < pattern.size() && pattern[p] == '*')
      star = p++, mark = t;
    else if (star != std::string_view::npos)
      p = star + 1, t = ++mark;
    else
      return false;
  while (p < pattern.size() && pattern[p] == '*')
    ++p;
  return p == pattern.size();
}

}  // namespace outrider::mdns
