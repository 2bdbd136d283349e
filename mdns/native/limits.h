// SPDX-License-Identifier: Apache-2.0
// Every number of the native provider: what the protocol fixes, and the limits of what we keep.
// Numbers that mdns/avahi needs as well are in mdns/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "dns/wire/types.h"

namespace outrider::mdns {

// --- RFC 6762 -----------------------------------------------------------------------------------
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
inline constexpr Duration kTruncatedDelayLimit = 2s;           // however many TC packets follow
inline constexpr Duration kMulticastAgainAfter = 1s;           // §6
inline constexpr Duration kMulticastProbedAgainAfter = 250ms;  // §6, a probe's defence
inline constexpr dns::Ttl kLegacyTtlMax = 10;                  // §6.7

inline constexpr Duration kQuestionIntervalFirst = 1s;  // §5.2
inline constexpr Duration kQuestionIntervalMax = std::chrono::minutes(60);
inline constexpr Duration kFlushGrace = 1s;  // §10.1, §10.2
/// A goodbye that the owner contradicts may have been forged. For kDoubtLife, further ones leave it
/// kDoubtedGrace to do so again: it repeats a record once a second at most (§6).
inline constexpr Duration kDoubtedGrace = 2s;
inline constexpr Duration kDoubtLife = 10s;
static_assert(kDoubtedGrace > kMulticastAgainAfter + kSharedDelayMax);
inline constexpr int kRefreshPercent[] = {80, 85, 90, 95};  // §5.2
inline constexpr unsigned kUnansweredMax = 2;     // §10.5: unanswered queries of other hosts …
inline constexpr Duration kUnansweredWait = 10s;  // … within this

// --- TTLs ---------------------------------------------------------------------------------------
// "short": a peer that was killed is gone within 20 s, from the browse lists of other programs too.
// "rfc": §10.
inline constexpr dns::Ttl kShortHostTtl = 20, kShortOtherTtl = 20;
inline constexpr dns::Ttl kRfcHostTtl = 120, kRfcOtherTtl = 4'500;
/// Longer TTLs of other hosts are cut to this: a lost goodbye must not matter for weeks.
inline constexpr dns::Ttl kTtlMax = 4'500;

// --- What we send -------------------------------------------------------------------------------
/// A record set that does not fit one frame is sent in IP fragments, up to this size (§17).
inline constexpr std::size_t kPayloadMax = 8'952;
/// Claims, answers or goodbyes sent in one burst. The rest follows after a pause, so that a
/// thousand of them do not overrun the receive buffers of the neighbours (about 200 kB by default).
inline constexpr std::size_t kBurst = 100;
/// Goodbyes that wait; beyond, the oldest are dropped, and their records expire.
/// As many are in doubt (goodbyes.h); beyond, fresh ones are left out.
inline constexpr std::size_t kGoodbyesMax = 4'096;
inline constexpr Duration kBurstPause = 20ms;
/// Datagrams of questions that go out in one burst on one interface and family, and the pause until
/// the next. At most kQuestionDatagramsMax are sent or wait in all, because known answers (§7.2)
/// must arrive before the responder with the shortest wait answers. Known answers beyond this limit
/// are left out, so they are sent to us again. Questions beyond it are asked at their next turn.
inline constexpr std::size_t kQuestionBurst = 32;
inline constexpr Duration kQuestionPause = 50ms;
inline constexpr std::size_t kQuestionDatagramsMax = 256;
static_assert((kQuestionDatagramsMax / kQuestionBurst - 1) * kQuestionPause < kTruncatedDelayMin);
/// Answers that may wait on one interface and family; own records are the tighter bound.
inline constexpr std::size_t kPendingAnswersMax = 16'384;
/// Datagrams of ours that may be on their way back to us through multicast loopback.
inline constexpr std::size_t kEchoesMax = 1'024;
inline constexpr Duration kEchoLife = 1s;
/// A link that returns none of our datagrams for this long is deaf: a firewall drops them, and
/// agents of this host meet on the loopback instead.
inline constexpr Duration kDeafAfter = 500ms;
/// How long claims stay on the loopback when a deaf link is heard again, where they are announced.
inline constexpr Duration kLoopbackKept = 2s;

// --- What we take -------------------------------------------------------------------------------
/// Records and questions read from one datagram; the rest is ignored.
inline constexpr std::size_t kPacketRecordsMax = 1'024;
inline constexpr std::size_t kPacketQuestionsMax = 256;
/// Records of other hosts that are kept: in all, per name and type, and in octets of RDATA.
inline constexpr std::size_t kCacheRecordsMax = 65'536;
inline constexpr std::size_t kCacheBytesMax = 24U << 20;
inline constexpr std::size_t kCacheRdataMax = 4'096;
/// When the cache is full, a source with at least as many records makes room; if there is none (a
/// flood from many forged sources), newcomers are refused.
inline constexpr std::size_t kLoudSourceMin = kCacheRecordsMax / 64;
/// Instances without SRV, TXT or address that make room at once, the oldest first.
inline constexpr std::size_t kUnresolvedEvicted = 64;
inline constexpr std::size_t kAddressesPerHostMax = 16;
inline constexpr std::size_t kSrvOrTxtPerNameMax = 8;
inline constexpr std::size_t kHostLookupsMax = 256;    // hosts that are looked up
inline constexpr std::size_t kHostWaitersMax = 4'096;  // callers that wait for them
/// After addresses of one family, the lookup of a host waits this long for the other family …
inline constexpr Duration kOtherFamilyWait = 150ms;
/// … and then assumes for this long that the host has none of it.
inline constexpr Duration kOtherFamilyMissing = 60s;
/// Questions about one instance or host before it has to be announced again.
inline constexpr unsigned kResolveTries = 4;
/// Instances that have never been whole and are asked about at the same time; others wait. A flood
/// of names must not crowd out the questions that keep sightings fresh.
inline constexpr std::size_t kResolvingMax = 512;
/// An instance that has not become whole by then is forgotten: its tries are spent (0, 1, 3 and
/// 7 s) and the last had time to be answered. Its next PTR brings it back.
inline constexpr Duration kResolveLife = 15s;
/// After something expired without a goodbye, multicast may have been interrupted: its type is
/// asked for again at short intervals for a while, so that it is found soon after the interruption.
inline constexpr Duration kLostInterval = 2s;
inline constexpr Duration kLostAsked = 60s;
/// Nothing was received from another host for this long when something expired: what we sent was
/// lost too. It is announced again when the link is heard again, at most this often.
inline constexpr Duration kSilence = 4s;
inline constexpr Duration kAnnounceAgainAfter = 60s;
inline constexpr unsigned kReconfirmTries = 3;
inline constexpr Duration kReconfirmInterval = 1s;

// --- Pace of the worker -------------------------------------------------------------------------
inline constexpr Duration kReopenInterval = 5s;
/// Refreshes that come due within this time are sent together: fewer wake-ups and datagrams.
inline constexpr Duration kRefreshGather = 500ms;
/// When an address is refreshed, up to this many instances of its host are updated at once; a host
/// with more is updated once per kRefreshGather.
inline constexpr std::size_t kInstancesUpdatedAtOnce = 16;
/// Instances of changed hosts that are looked at in one turn.
inline constexpr std::size_t kInstancesSettledAtOnce = 64;
/// Instances that never became whole and are forgotten in one turn.
inline constexpr std::size_t kUnresolvedForgottenAtOnce = 64;

}  // namespace outrider::mdns
