// SPDX-License-Identifier: Apache-2.0
// Every number of the native provider: what the protocol fixes, and the limits of what we keep.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/time.h"
#include "dns/wire/types.h"

namespace outrider::mdns {

// --- RFC 6762 -----------------------------------------------------------------------------------
inline constexpr std::uint16_t kMdnsPort = 5353;
inline const IpAddress kGroupV4 = IpAddress::v4(224, 0, 0, 251);
inline const IpAddress kGroupV6 = *IpAddress::parse("ff02::fb");
inline constexpr int kHopLimit = 255;  // §11

inline constexpr unsigned kProbeCount = 3;  // §8.1
inline constexpr Duration kProbeInterval = 250ms;
inline constexpr Duration kProbeStartMax = 250ms;
inline constexpr Duration kProbeDeferral = 1s;  // §8.2: after a lost tie-break
inline constexpr unsigned kConflictsMax = 15;   // §8.1: within kConflictWindow …
inline constexpr Duration kConflictWindow = 10s;
inline constexpr Duration kConflictPause = 5s;  // … slow down to one attempt per this
inline constexpr unsigned kAnnounceCount = 2;   // §8.3
inline constexpr Duration kAnnounceInterval = 1s;
inline constexpr unsigned kGoodbyeCount = 2;
inline constexpr Duration kGoodbyeInterval = 250ms;

inline constexpr Duration kSharedDelayMin = 20ms;  // §6
inline constexpr Duration kSharedDelayMax = 120ms;
inline constexpr Duration kTruncatedDelayMin = 400ms;  // §7.2
inline constexpr Duration kTruncatedDelayMax = 500ms;
inline constexpr Duration kTruncatedDelayLimit = 2s;           // however often more is promised
inline constexpr Duration kMulticastAgainAfter = 1s;           // §6
inline constexpr Duration kMulticastProbedAgainAfter = 250ms;  // §6, a probe's defence
inline constexpr dns::Ttl kLegacyTtlMax = 10;                  // §6.7

inline constexpr Duration kQuestionIntervalFirst = 1s;  // §5.2
inline constexpr Duration kQuestionIntervalMax = std::chrono::minutes(60);
inline constexpr Duration kFlushGrace = 1s;                 // §10.1, §10.2
inline constexpr int kRefreshPercent[] = {80, 85, 90, 95};  // §5.2
inline constexpr unsigned kUnansweredMax = 2;  // §10.5: queries of others that nobody answered …
inline constexpr Duration kUnansweredWait = 10s;  // … within this

// --- TTLs ---------------------------------------------------------------------------------------
// "short": a peer that was killed is gone in less than half a minute. "rfc": §10.
inline constexpr dns::Ttl kShortHostTtl = 20, kShortOtherTtl = 75;
inline constexpr dns::Ttl kRfcHostTtl = 120, kRfcOtherTtl = 4'500;
/// Longer TTLs of others count as this: an unheard goodbye must not last for weeks.
inline constexpr dns::Ttl kTtlMax = 4'500;

// --- What we send -------------------------------------------------------------------------------
inline constexpr std::size_t kPayloadV4 = 1'472;  // one Ethernet frame
inline constexpr std::size_t kPayloadV6 = 1'452;
inline constexpr std::size_t kPayloadMin = 512;
/// One record set that does not fit a frame goes out in fragments, up to this (§17).
inline constexpr std::size_t kPayloadMax = 8'952;
/// Addresses of one interface or of one announcement that are published.
inline constexpr std::size_t kOwnAddressesMax = 8;
inline constexpr unsigned kRenamesMax = 20;
/// Claims, answers or goodbyes that go out in one burst; the rest follows after a pause, so that a
/// thousand of them do not overrun the receive buffers of the neighbours (some 200 kB by default).
inline constexpr std::size_t kBurst = 100;
inline constexpr Duration kBurstPause = 20ms;
/// Datagrams of questions that go out in one burst on one interface and family, and the pause until
/// the next. No more than kQuestionDatagramsMax go out or wait in all: known answers (§7.2) must
/// come before a responder answers that waits the least. Those beyond are left out and answered
/// once more, questions beyond are asked at their next turn.
inline constexpr std::size_t kQuestionBurst = 32;
inline constexpr Duration kQuestionPause = 50ms;
inline constexpr std::size_t kQuestionDatagramsMax = 256;
static_assert((kQuestionDatagramsMax / kQuestionBurst - 1) * kQuestionPause < kTruncatedDelayMin);
/// Answers that may wait on one interface and family; own records bound them first.
inline constexpr std::size_t kPendingAnswersMax = 16'384;
/// Datagrams of ours that may be on their way back to us through multicast loopback.
inline constexpr std::size_t kEchoesMax = 1'024;
inline constexpr Duration kEchoLife = 1s;

// --- What we take -------------------------------------------------------------------------------
/// Records and questions looked at in one datagram; what is beyond is not read.
inline constexpr std::size_t kPacketRecordsMax = 1'024;
inline constexpr std::size_t kPacketQuestionsMax = 256;
inline constexpr std::size_t kLinksMax = 64;
/// Records kept of others, in all and per name and type; octets of RDATA of one, and in all.
inline constexpr std::size_t kCacheRecordsMax = 65'536;
inline constexpr std::size_t kCacheBytesMax = 24U << 20;
inline constexpr std::size_t kCacheRdataMax = 4'096;
inline constexpr std::size_t kAddressesPerHostMax = 16;
inline constexpr std::size_t kSrvOrTxtPerNameMax = 8;
inline constexpr std::size_t kHostLookupsMax = 256;
/// How long the look-up of a host that has told addresses of one family waits for the other, and
/// how long it is then taken to have none.
inline constexpr Duration kOtherFamilyWait = 150ms;
inline constexpr Duration kOtherFamilyMissing = 60s;
/// Questions about one instance or host before it has to be announced again.
inline constexpr unsigned kResolveTries = 4;
inline constexpr unsigned kReconfirmTries = 3;
inline constexpr Duration kReconfirmInterval = 1s;

// --- Pace of the worker -------------------------------------------------------------------------
inline constexpr Duration kFirstRound = 500ms;  // after the first questions: then we are running
inline constexpr Duration kReopenInterval = 5s;
/// Refreshes due within this of one that is due go with it: fewer wake-ups, fewer datagrams.
inline constexpr Duration kRefreshGather = 500ms;
/// Instances of one host that are looked at whenever its address is refreshed; of more, once in
/// kRefreshGather.
inline constexpr std::size_t kInstancesLookedAtAtOnce = 16;

}  // namespace outrider::mdns
