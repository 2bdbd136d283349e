// SPDX-License-Identifier: Apache-2.0
// The numbers that both providers share. Those of one alone: native/limits.h, avahi/client.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/address.h"
#include "base/time.h"

namespace outrider::mdns {

// --- RFC 6762 §3 --------------------------------------------------------------------------------
inline constexpr std::uint16_t kMdnsPort = 5353;
inline const IpAddress kGroupV4 = IpAddress::v4(224, 0, 0, 251);
inline const IpAddress kGroupV6 = *IpAddress::parse("ff02::fb");

// --- Links --------------------------------------------------------------------------------------
inline constexpr std::size_t kLinksMax = 64;
inline constexpr std::size_t kPayloadV4 = 1'472;  // one Ethernet frame
inline constexpr std::size_t kPayloadV6 = 1'452;
inline constexpr std::size_t kPayloadMin = 512;

// --- Announcements ------------------------------------------------------------------------------
/// Published addresses of one interface or of one announcement.
inline constexpr std::size_t kOwnAddressesMax = 8;
inline constexpr unsigned kRenamesMax = 20;  // of one announcement

// --- Browsing -----------------------------------------------------------------------------------
/// How long a type is browsed after ask(), and how many of these; the oldest makes room.
inline constexpr Duration kAskLife = std::chrono::minutes(1);
inline constexpr std::size_t kAskedTypesMax = 32;
/// TXT records of other hosts that are too long are logged at most once in this time.
inline constexpr Duration kRefusedTextsLogged = std::chrono::minutes(1);
/// A provider reports `running` this long after its first questions.
inline constexpr Duration kFirstRound = 500ms;

}  // namespace outrider::mdns
