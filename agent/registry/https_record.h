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

/// What the record of an instance says, at priority 1; nothing for a service that has none.
std::optional<dns::ServiceBinding> https_binding(const Instance& instance,
                                                 const std::vector<IpAddress>& addresses,
                                                 const dns::Name& target);

}  // namespace outrider::registry
