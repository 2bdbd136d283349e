// SPDX-License-Identifier: Apache-2.0
// Whether mDNS packets that this host sends to a link come back to it, as the kernel promises. If
// not, a firewall drops them, and other hosts neither hear nor are heard.
#pragma once

namespace outrider::cli {

/// Sends one question for a name that no host has and waits for its own copy, at most half a
/// second. True also where the question cannot be asked, because another program keeps the port to
/// itself.
bool hears_own_multicast(unsigned interface);

}  // namespace outrider::cli
