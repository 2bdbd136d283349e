// SPDX-License-Identifier: Apache-2.0
// The mDNS provider through avahi-daemon, for hosts where port 5353 is the daemon's alone.
//
// Flow, in file order: client (the promise over libavahi-client: commands and events) ▸
// publications (entry groups) and discoveries (browsers, resolvers, sightings), both told the time
// ▸ avahi_provider.cc, which alone has the clock, a timer and the client. The library itself is in
// module/, loaded by loader.cc: it waits for D-Bus in every call, so it has a thread there, and a
// daemon that hangs holds up nothing but that thread.
//
// The daemon decides TTLs and interfaces, and does not tell SRV weights. reconfirm() does nothing:
// it has no such call, and it counts unanswered questions (RFC 6762 §10.5) only of other hosts.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "mdns/avahi/client.h"
#include "mdns/link.h"
#include "mdns/provider.h"

namespace outrider::mdns {

struct AvahiOptions {
  /// Of the host label of announcements with addresses of their own, as in NativeOptions.
  std::string host = "host";
  std::string cookie;
  LinkChoice interfaces;
  ConflictPolicy conflict = ConflictPolicy::rename;
};

namespace avahi {
/// A new connection after one that failed comes after the first, doubling up to the second.
inline constexpr Duration kReconnectFirst = 500ms;
inline constexpr Duration kReconnectMax = 10s;
/// The daemon has not carried out what it was asked for: it hangs, and we say so.
inline constexpr Duration kAnswerPatience = 5s;
/// At stop: how long the goodbye may take before daemon and thread are left to themselves.
inline constexpr Duration kStopPatience = 2s;
/// A host's address in its other family, after the first one.
inline constexpr Duration kSecondFamily = 100ms;
/// The daemon does not tell how long an address is good for.
inline constexpr Duration kHostTtl = 10s;
}  // namespace avahi

/// Without a client (`why` says why) it is down for good.
std::unique_ptr<Provider> make_avahi_provider(Env& env, const AvahiOptions& options,
                                              std::unique_ptr<avahi::Client> client,
                                              std::string why = {});

}  // namespace outrider::mdns
