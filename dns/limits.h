// SPDX-License-Identifier: Apache-2.0
// Every limit of this room, together.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.h"
#include "dns/wire/zone_error.h"  // kWhyBytesMax

namespace outrider::dns {

/// Answers over UDP are never larger, whatever the client allows (DNS flag day 2020).
inline constexpr std::size_t kUdpAnswerBytesMax = 1'232;
/// So that a burst of queries waits in the kernel instead of being lost.
inline constexpr std::size_t kUdpReceiveBufferBytes = 1U << 20;

// Local zones
/// Records of one name; further ones are left out, those of the highest rank first.
inline constexpr std::size_t kRecordsPerNameMax = 16'384;
/// Targets of SRV and NS records whose addresses go into Additional.
inline constexpr std::size_t kAdditionalTargetsMax = 32;

// TCP clients
inline constexpr std::size_t kTcpClientsMax = 256;
inline constexpr std::size_t kTcpQueriesInFlightMax = 64;  // per connection
/// Answers that a client has not taken; it is not read on beyond that.
inline constexpr std::size_t kTcpUnsentBytesMax = 256U << 10;
/// How long a client that has just connected may take for its first query when the server stops.
inline constexpr Duration kTcpFirstQueryMax = std::chrono::milliseconds(100);
/// From the last whole query; a query that drips in counts as none (RFC 7766 §6.2.3).
inline constexpr Duration kTcpIdleMax = std::chrono::seconds(10);

// The stub server
inline constexpr Duration kBindRetry = std::chrono::seconds(5);
/// At most one message about refused clients in this time.
inline constexpr Duration kRefusedClientsLog = std::chrono::minutes(1);
/// Queries that wait for an unknown name to appear; the next one is answered at once.
inline constexpr std::size_t kHeldQueriesMax = 1'024;
/// Queries that wait for a host name on the LAN or for an upstream server.
inline constexpr std::size_t kWaitingQueriesMax = 4'096;
/// Longer queries are answered, but never wait.
inline constexpr std::size_t kWaitingQueryBytesMax = 1'232;

// Forwarding
inline constexpr std::size_t kLookupsMax = 1'024;  // distinct ones, on their way upstream
inline constexpr std::size_t kUpstreamsMax = 8;
inline constexpr unsigned kAttemptsMax = 3;  // messages that one lookup may cost
/// Messages whose answers are awaited. A lookup that has one already and sends another beyond this
/// gives up its oldest: each takes a socket.
inline constexpr std::size_t kOpenMessagesMax = 1'024;
/// After this time without an answer a lookup sends its next message. The earlier ones stay open:
/// an answer that comes late is still an answer.
inline constexpr Duration kAttemptTimeout = std::chrono::milliseconds(1'500);
/// How long the whole of a truncated answer is tried to be had over TCP.
inline constexpr Duration kTcpTimeout = std::chrono::milliseconds(1'400);
/// A client that waits longer gives up (glibc: 5 s).
inline constexpr Duration kLookupMax = std::chrono::milliseconds(4'500);
/// For how long a server that failed is asked last; doubles with each failure.
inline constexpr Duration kBackOffMin = std::chrono::seconds(5);
inline constexpr Duration kBackOffMax = std::chrono::seconds(60);
/// How long a domain whose queries come back is refused, and how long a name that came back counts
/// as evidence (loop_guard.h).
inline constexpr Duration kLoopPause = std::chrono::seconds(30);
inline constexpr std::size_t kLoopNamesMax = 16;
inline constexpr std::size_t kLoopDomainsMax = 16;
inline constexpr std::size_t kLoopBranchesMin = 3;
/// The latest names that were answered: what is above them does not loop.
inline constexpr std::size_t kLoopAnsweredMax = 32;
/// Letters of a name from which on its case tells a query of ours from one of a client; a client
/// that draws cases, too, meets ours by chance of 2^-6 at most.
inline constexpr std::size_t kCaseLettersMin = 6;
/// Queries for a name on its way that come in other cases than its first; after more of them an
/// equal case may have been guessed, and is no evidence of a loop.
inline constexpr unsigned kCaseGuessesMax = 8;

// Cache
inline constexpr std::uint32_t kTtlMax = 86'400;
inline constexpr std::uint32_t kNegativeTtlMax = 900;  // RFC 2308 §5 allows up to three hours
inline constexpr std::size_t kCacheBytesMax = 32U << 20;
inline constexpr std::size_t kCachedAnswerBytesMax = 16U << 10;
// RFC 8767: how long stale answers are kept, how long a client waits for a fresh one first, and the
// TTL that stale answers get.
inline constexpr std::chrono::seconds kStaleMax = std::chrono::hours(24);
inline constexpr Duration kStaleAfter = std::chrono::milliseconds(1'800);
inline constexpr std::uint32_t kStaleTtl = 30;
/// How long a stale answer is given at once after it could not be refreshed.
inline constexpr Duration kStaleRecheck = std::chrono::seconds(5);

}  // namespace outrider::dns
