// SPDX-License-Identifier: Apache-2.0
// The mDNS provider without a daemon: RFC 6762 and RFC 6763 on sockets of our own, beside whatever
// other stack of the host shares port 5353.
//
// Flow, in file order: link (which interfaces) ▸ packet (a datagram is parsed once, and is a query
// or a response) ▸ query: responder (what we announce, from own_records), publisher (who else wants
// our names) ▸ response: publisher (conflicts), responder (said already), querier (cache,
// sightings). packer makes datagrams. All of them are state machines that are told the time and
// hand datagrams to an Outlet; native_provider.cc alone has sockets, a timer and the clock. Limits:
// limits.h.
//
// Odd words: link, claim, slot, group: see link.h, own_records.h, packer.h. A channel is a link and
// a family. To announce another record: a kind in own_records.h. To test: tests/mdns,
// tests/scenarios/mdns.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "mdns/limits.h"
#include "mdns/native/publisher.h"
#include "mdns/provider.h"

namespace outrider::mdns {

enum class TtlProfile : std::uint8_t {
  short_lived,  // SRV and addresses 20 s, the rest 75 s
  rfc,          // 120 s and 75 min (RFC 6762 §10)
};

struct NativeOptions {
  /// Host label "<host>-<hash of host and cookie>": different for each agent, the same after a
  /// restart of the same one.
  std::string host = "host";
  std::string cookie;
  LinkChoice interfaces;
  TtlProfile ttl = TtlProfile::short_lived;
  ConflictPolicy conflict = ConflictPolicy::rename;
  std::uint16_t port = kMdnsPort;  // another one in tests only
};

/// For metrics and for tests.
struct NativeCounters {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t echoes = 0;  // our own, come back
  std::uint64_t dropped = 0;
  std::size_t cached_records = 0;
  std::size_t cached_bytes = 0;
};

class NativeProvider : public Provider {
 public:
  virtual NativeCounters counters() const = 0;
  /// "box-1a2b3c4d.local"
  virtual std::string host() const = 0;
};

std::unique_ptr<NativeProvider> make_native_provider(Env& env, const NativeOptions& options);

}  // namespace outrider::mdns
