// SPDX-License-Identifier: Apache-2.0
// The mDNS provider without a daemon: RFC 6762 and RFC 6763 on sockets of its own, which share port
// 5353 with other mDNS stacks of the host.
//
// Flow, in file order: link (which interfaces) ▸ echoes (our own datagrams are dropped), packet (a
// datagram is parsed once, and is a query or a response) ▸ query: publisher (who else wants our
// names: conflict), responder (what we announce: own_records), querier (questions that we need not
// ask) ▸ response: publisher (conflicts), responder (answers that another host has sent), querier
// (cache, sightings, host_lookups). Out: goodbyes and questions; packer makes datagrams, pacer
// spreads them.
// All of these are state machines that take the time as an argument and hand datagrams to an Outlet
// (outlet.h); only native_provider.cc has sockets, a timer and the clock. Limits: limits.h and
// mdns/limits.h.
//
// Odd words: link (link.h), claim and slot (own_records.h), group (packer.h), channel (outlet.h).
// To announce another record, add a kind to own_records.h; to browse for another reason, a field to
// BrowseReasons in querier.h. Tests: tests/mdns, tests/scenarios/mdns.
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
  short_lived,  // 20 s for every record
  rfc,          // 120 s and 75 min (RFC 6762 §10)
};

struct NativeOptions {
  /// For the host label "<host>-<hash of host and cookie>": it differs between agents and survives
  /// the restart of an agent.
  std::string host = "host";
  std::string cookie;
  /// The machine's own name, which another responder of this host may have: no name takes it.
  std::string machine;
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
  std::uint64_t echoes = 0;  // our own datagrams, received again
  std::uint64_t dropped = 0;
  std::uint64_t refused_texts = 0;  // TXT records of other hosts that are too long
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
