// SPDX-License-Identifier: Apache-2.0
// The way upstream by c-ares, used as raw transport. The only owner of ares.h.
//
// A channel of c-ares has one UDP socket per server while queries are under way, so queries that
// overlap in one channel share their source port. Here a channel carries one query at a time and
// returns to a pool of idle ones; its next query opens a new connected socket with a port that the
// kernel picks (RFC 5452 §4.5). A channel costs 17 µs to make and next to nothing to reuse; a
// socket per query costs about 7 µs more than a shared one. A channel also takes 75 KB, so only few
// are kept after a burst.
#pragma once

#include <memory>

#include "base/env.h"
#include "dns/upstream.h"

namespace outrider::dns {

/// Idle channels that are kept, and how many of them from kChannelsThinnedAfter a burst on.
inline constexpr std::size_t kIdleChannelsMax = 256;
inline constexpr std::size_t kIdleChannelsAtRest = 16;
inline constexpr Duration kChannelsThinnedAfter = std::chrono::seconds(5);

/// For how long a truncated answer of a server is passed on at once after no connection to it came
/// about within kTcpTimeout, and of how many servers that is known.
inline constexpr Duration kTcpBlockedFor = std::chrono::seconds(60);
inline constexpr std::size_t kTcpBlockedMax = 16;

class AresUpstream final : public Upstream {
 public:
  explicit AresUpstream(Env& env);
  ~AresUpstream() override;

  std::unique_ptr<Pending> send(const Endpoint& server, Bytes message, Duration timeout,
                                Answer answer) override;

  std::size_t idle_channels() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::dns
