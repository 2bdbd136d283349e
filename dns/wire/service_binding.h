// SPDX-License-Identifier: Apache-2.0
// The RDATA of SVCB and HTTPS records in ServiceMode (RFC 9460 §2.2). Records of others are kept as
// bytes: a server that forwards them must not drop an answer for a parameter that it does not know.
#pragma once

#include <string>
#include <vector>

#include "dns/wire/record.h"

namespace outrider::dns {

struct ServiceBinding {
  std::uint16_t priority = 1;  // the least is tried first; 0 would be AliasMode (§2.4.2)
  Name target;
  bool port_is_mandatory = false;  // said of SVCB; of HTTPS it always is (§9)
  std::vector<std::string> alpn;   // ids of 1 to 255 octets; none: the default of the scheme
  std::uint16_t port = 0;          // 0: the port that the client asks for anyway
  std::vector<IpAddress> hints;    // addresses of the target
};

/// Parameters stand in the order of their keys, as clients demand (§2.2).
RawData encode(const ServiceBinding& binding);

/// TargetName in RDATA that encode() has made, in wire form; its offset there.
inline constexpr std::size_t kBindingTargetOffset = 2;
Bytes target_of_binding(Bytes rdata);

}  // namespace outrider::dns
