// SPDX-License-Identifier: Apache-2.0
// HTTPS and SVCB records (RFC 9460) of instances whose protocol is https: a client that reads them
// connects to the port of the instance, whatever the URL.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/registry/model.h"
#include "dns/wire/service_binding.h"

namespace outrider::registry {

/// The key of the metadata that names the application protocols of an https service in TLS:
/// "h2,http/1.1". Without it, or with what is no such list, the record names none, which means
/// http/1.1 (RFC 9460 §7.1.2): Firefox breaks off if a server that supports no ALPN is said to.
inline constexpr std::string_view kAlpnKey = "alpn";
/// Longer lists are no such lists.
inline constexpr std::size_t kAlpnBytesMax = 64;
/// Addresses of a family in one record.
inline constexpr std::size_t kHintsMax = 4;

/// SvcPriority says what the rank says: clients shuffle what is equal (RFC 9460 §2.4.1).
inline std::uint16_t svc_priority(std::uint8_t rank) {
  return static_cast<std::uint16_t>(rank + 1);
}

/// What the record of an instance says, at priority 1; nothing for a service that has none.
std::optional<dns::ServiceBinding> https_binding(const Instance& instance,
                                                 const std::vector<IpAddress>& addresses,
                                                 const dns::Name& target);

/// One more record whose target is the name itself, if all instances of that name have one port and
/// one alpn. Firefox uses no other target with the host's own resolver: it wants that of a CNAME.
class CommonBinding {
 public:
  void add(const Instance& instance, std::uint8_t rank);
  std::optional<dns::ServiceBinding> at(const dns::Name& owner) const;

 private:
  std::optional<dns::ServiceBinding> binding_;
  bool differ_ = false;
};

}  // namespace outrider::registry
