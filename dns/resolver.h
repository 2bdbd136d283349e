// SPDX-License-Identifier: Apache-2.0
// The forwarding part of the stub: queries for other names go to the host's real name servers.
//
//   StubServer ▸ answer_now (cache, refusals) ▸ forward ▸ join an equal lookup, or
//   Upstream::send ▸ UpstreamAnswer::parse ▸ rebinding guard ▸ Cache ▸ all waiters
//
// Answers pass as bytes; nothing is validated, and DO and CD are passed on, AD if it is trusted.
// Each message upstream has a random id, a random case of its name (0x20) and its own port (RFC
// 5452). Servers are asked in their order, or in turn; one that fails is asked last for a while. A
// message stays open while the next one is under way: an answer that comes late is still an answer.
// When none comes, the last known answer of this name is served stale (RFC 8767).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "dns/cache.h"
#include "dns/forwarder.h"
#include "dns/upstream.h"
#include "dns/upstream_servers.h"

namespace outrider::dns {

struct ForwardOptions {
  std::size_t cache_entries = 10'000;
  /// Answers of private addresses for public names are blocked: a web page of such a name could
  /// talk to services of this host and LAN.
  bool rebind_protection = true;
  /// Domains below which private addresses are allowed.
  std::vector<Name> rebind_exceptions;
  /// Pass on the AD flag of the servers' answers: only for servers that validate, over a network
  /// where no other host can forge what they say.
  bool trust_ad = false;
  /// Where we listen: never asked.
  std::vector<Endpoint> own;

  bool operator==(const ForwardOptions&) const = default;
};

struct ForwardCounters {
  std::uint64_t hits = 0, misses = 0, joined = 0, stale = 0;
  std::uint64_t sent = 0;         // messages upstream
  std::uint64_t failed = 0;       // lookups that no server answered
  std::uint64_t bad_answers = 0;  // malformed, or not to our question
  std::uint64_t rebind_blocked = 0;
  std::uint64_t loops = 0;
};

class Resolver final : public Forwarder {
 public:
  /// `upstream` outlives the resolver.
  Resolver(Env& env, Upstream& upstream, ForwardOptions options);
  ~Resolver() override;

  /// The servers to ask from now on, in order, at most kUpstreamsMax; our own addresses among them
  /// are left out. Names under `search`, the host's search domains, are as good as exceptions from
  /// the rebinding guard (may_be_excepted): they belong to the operator of this network. In
  /// rotating order each lookup begins at the server after the one at which the last began.
  void set_upstreams(std::vector<Endpoint> servers, std::vector<Name> search = {},
                     UpstreamServers::Order order = UpstreamServers::Order::fixed);
  /// Applies from now on. The cache is kept, unless what is kept in it changes; waiting queries
  /// continue to wait.
  void set_options(ForwardOptions options);
  const std::vector<Endpoint>& upstreams() const;

  std::size_t answer_now(const Query& query, std::size_t limit, MutableBytes buffer) override;
  std::unique_ptr<Pending> forward(const Query& query, std::size_t limit, Answer answer) override;

  const ForwardCounters& counters() const;
  std::size_t cached() const;
  std::size_t lookups() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::dns
