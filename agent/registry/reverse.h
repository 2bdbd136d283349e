// SPDX-License-Identifier: Apache-2.0
// PTR records of the addresses of served instances (RFC 1035 §3.5, RFC 3596 §2.5). Other addresses
// have none, so that questions about them are forwarded.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/registry/zone.h"

namespace outrider::registry {

/// Names in one PTR answer; further instances of a host are left out.
inline constexpr std::size_t kReverseNamesMax = 16;

/// "1.0.0.10.in-addr.arpa", "….ip6.arpa".
dns::Name reverse_name(const IpAddress& address);

class ReverseProjection {
 public:
  /// PTRs lead into `origin`: "h1.hello.svc".
  explicit ReverseProjection(dns::Name origin) : origin_(std::move(origin)) {}

  void update(const Registry& registry, const HostView& host, const Changes& changes,
              const ZoneSink& out);
  void rebuild(const Registry& registry, const HostView& host, const ZoneSink& out);

 private:
  using Pair = std::pair<IpAddress, std::string>;  // address, "ID.NAME"
  void refresh(const Registry& registry, const HostView& host, const std::string& label,
               std::set<IpAddress>& touched);
  void set(const std::set<IpAddress>& touched, const ZoneSink& out) const;

  dns::Name origin_;
  std::map<std::string, std::vector<Pair>> by_service_;  // in order
  std::set<Pair> all_;
};

}  // namespace outrider::registry
