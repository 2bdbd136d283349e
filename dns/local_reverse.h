// SPDX-License-Identifier: Apache-2.0
// Reverse zones of addresses that mean the same on every host, or another thing in every network:
// loopback, link-local, documentation, private (RFC 6303, RFC 7793). The public DNS knows nothing
// about them, so questions about them are not sent there. To add a zone add a row.
#pragma once

#include <optional>

#include "dns/query.h"
#include "dns/reply.h"

namespace outrider::dns {

enum class ReverseScope : std::uint8_t {
  host,     // no server knows more than we do
  network,  // of private addresses: a server with such an address may know them
};

struct LocalReverse {
  ReverseScope scope;
  std::uint8_t origin;  // where in the name of the query the zone begins
};

/// The zone of this kind that the name is in.
std::optional<LocalReverse> local_reverse(const Query& query);

/// 127.0.0.1 and ::1 are localhost, nothing else exists, and clients may remember that.
void write_local_reverse(const Query& query, const LocalReverse& zone, Reply& reply);

}  // namespace outrider::dns
