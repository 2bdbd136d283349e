// SPDX-License-Identifier: Apache-2.0
// Which addresses and names the rebinding guard is about: a public name must not lead a browser of
// this host to a private address. Pure.
#pragma once

#include "base/address.h"
#include "dns/wire/name.h"

namespace outrider::dns {

/// An address that no public name has: RFC 1918, 3927, 4193, 6598 and their like, and the forms of
/// IPv6 that carry such an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo).
bool is_private_answer(const IpAddress& address);

/// Domains that are no part of the public DNS: one label, or below one of RFC 6762 appendix G, RFC
/// 6761 and RFC 8375.
bool is_private_domain(const Name& name);

/// Whether a search domain may be excepted from the guard. One that is a whole public top-level
/// domain may not: `search com` would be no protection at all.
bool may_be_excepted(const Name& search_domain);

}  // namespace outrider::dns
