// SPDX-License-Identifier: Apache-2.0
// Every limit of this room, together.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.h"

namespace outrider::dns {

/// Answers over UDP are never larger, whatever the client allows (DNS flag day 2020).
inline constexpr std::size_t kUdpAnswerBytesMax = 1'232;
inline constexpr std::size_t kMessageBytesMax = 65'535;
/// So that a burst of queries waits in the kernel instead of being lost.
inline constexpr std::size_t kUdpReceiveBufferBytes = 1U << 20;

// Local zones
/// Records of one name; what is beyond is left out, highest rank first.
inline constexpr std::size_t kRecordsPerNameMax = 16'384;
/// Octets of `why` that are kept.
inline constexpr std::size_t kWhyBytesMax = 200;
/// Targets of SRV and NS records whose addresses go into Additional.
inline constexpr std::size_t kAdditionalTargetsMax = 32;

// TCP clients
inline constexpr std::size_t kTcpClientsMax = 256;
inline constexpr std::size_t kTcpQueriesInFlightMax = 64;  // per connection
/// Answers that a client has not taken; it is not read on beyond that.
inline constexpr std::size_t kTcpUnsentBytesMax = 256U << 10;
/// From the last whole query; a query that drips in counts as none (RFC 7766 §6.2.3).
inline constexpr Duration kTcpIdleMax = std::chrono::seconds(10);

// The stub server
inline constexpr Duration kBindRetry = std::chrono::seconds(5);
/// Queries that wait for an unknown name to appear; the next one gets NXDOMAIN at once.
inline constexpr std::size_t kHeldQueriesMax = 1'024;
/// Queries that wait for somebody else's answer: a host name on the LAN, an upstream server.
inline constexpr std::size_t kWaitingQueriesMax = 4'096;
/// Longer queries are answered, but never wait.
inline constexpr std::size_t kWaitingQueryBytesMax = 1'232;

}  // namespace outrider::dns
