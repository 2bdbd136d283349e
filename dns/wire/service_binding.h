// SPDX-License-Identifier: Apache-2.0
// The RDATA of SVCB and HTTPS records (RFC 9460 §2.2): ours are encoded, in ServiceMode. Records of
// other servers stay bytes, because a forwarder must not drop an answer for a parameter that it
// does not know; BindingReader looks into them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "dns/wire/record.h"

namespace outrider::dns {

enum class BindingKey : std::uint16_t {  // RFC 9460 §14.3.2; others exist
  mandatory = 0,
  alpn = 1,
  port = 3,
  ipv4hint = 4,
  ipv6hint = 6,
};

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

/// As in zone files (RFC 9460 §2.1), for people: "1 web-1.web.svc alpn=\"h2\" port=8443".
std::string to_text(const ServiceBinding& binding);

/// TargetName in RDATA that encode() has made, in wire form; its offset there.
inline constexpr std::size_t kBindingTargetOffset = 2;
Bytes target_of_binding(Bytes rdata);

/// The parameters of RDATA, one after the other, up to the end or the first one that is malformed.
class BindingReader {
 public:
  struct Parameter {
    BindingKey key;
    Bytes value;
  };
  explicit BindingReader(Bytes rdata);
  std::optional<Parameter> next();

 private:
  ByteReader reader_;
};

}  // namespace outrider::dns
