// SPDX-License-Identifier: Apache-2.0
// Names with a meaning of their own, wherever they are asked for: RFC 6761 and the RFCs that add to
// its registry. The table says what a name is; the stub server acts on it. To add a name add a row.
#pragma once

#include <cstdint>
#include <optional>

#include "dns/query.h"

namespace outrider::dns {

enum class SpecialUse : std::uint8_t {
  reverse,      // of addresses: answered here if it is one of ours, else like any other name
  loopback,     // this host, and nothing else (RFC 6761 §6.3)
  multicast,    // a host on the LAN, never sent upstream (RFC 6762 §22.1)
  nonexistent,  // by decree: NXDOMAIN
};

/// What the name of the question is, if it is one of these names or below one.
std::optional<SpecialUse> special_use(const Query& query);

/// "version.bind." or "version.server." (RFC 4892 §2); the class, CH, is the caller's to check.
bool asks_version(const Query& query);

}  // namespace outrider::dns
