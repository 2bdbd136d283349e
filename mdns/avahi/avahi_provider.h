// SPDX-License-Identifier: Apache-2.0
// The mDNS provider through avahi-daemon, for hosts where the daemon does not share port 5353.
//
// Flow, in file order: client (the interface over libavahi-client: commands and events) ▸
// publications (entry groups) and discoveries (browsers, resolvers, sightings), state machines that
// take the time as an argument ▸ avahi_provider.cc, which alone has the clock, a timer and the
// client. The library itself is in module/, loaded by loader.cc: each of its calls waits for D-Bus,
// so it runs on a thread there, and a daemon that hangs blocks only that thread.
//
// The daemon decides TTLs and interfaces, and does not report SRV weights. It counts
// unanswered questions (RFC 6762 §10.5) of other hosts only.
#pragma once

#include <memory>
#include <string>

#include "base/env.h"
#include "mdns/avahi/client.h"
#include "mdns/link.h"
#include "mdns/provider.h"

namespace outrider::mdns {

struct AvahiOptions {
  /// For the host label of announcements with addresses of their own, as in NativeOptions.
  std::string host = "host";
  std::string cookie;
  std::string machine;  // as in NativeOptions
  LinkChoice interfaces;
  ConflictPolicy conflict = ConflictPolicy::rename;
};

namespace avahi {
/// The delay before a new connection, doubling from the first to the second.
inline constexpr Duration kReconnectFirst = 500ms;
inline constexpr Duration kReconnectMax = 10s;
/// A daemon that has not carried out a command for this long is reported as hanging.
inline constexpr Duration kAnswerPatience = 5s;
/// At stop: how long the goodbye may take before daemon and thread are abandoned.
inline constexpr Duration kStopPatience = 2s;
/// How long a lookup waits for the other family after the first address.
inline constexpr Duration kSecondFamily = 100ms;
/// The daemon does not report the TTL of an address.
inline constexpr Duration kHostTtl = 10s;
}  // namespace avahi

/// Without a client the provider stays down; `why` is its reason.
std::unique_ptr<Provider> make_avahi_provider(Env& env, const AvahiOptions& options,
                                              std::unique_ptr<avahi::Client> client,
                                              std::string why = {});

}  // namespace outrider::mdns
