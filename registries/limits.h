// SPDX-License-Identifier: Apache-2.0
// Limits that engines of all registries have in common. Those of one registry are in its folder.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace outrider::registries {

/// Of a lease, or of the check of a registration. etcd raises shorter ones to its own minimum.
inline constexpr Duration kTtlMin = std::chrono::seconds(5);
inline constexpr Duration kTtlMax = std::chrono::hours(1);
/// Writes that fall into an election of etcd hang for 7 s: another server is asked long before.
inline constexpr Duration kConnectMax = std::chrono::seconds(1);
inline constexpr Duration kCallMax = std::chrono::seconds(2);
/// Entries of one cluster, or of all services of Consul together; those beyond are counted and
/// left out.
inline constexpr std::size_t kEntriesMax = 4'096;
/// When entries leave while others are left out, everything is listed again after this time.
inline constexpr Duration kRoomUsed = std::chrono::minutes(1);
/// Registrations of one agent. In Consul, also ids that are still to be taken back.
inline constexpr std::size_t kRegistrationsMax = 1'024;
/// A key or an id in conflict, or refused, is tried again after this: three times a minute.
inline constexpr Duration kWriteRetry = std::chrono::seconds(20);
/// For taking everything back at a stop; after that, leases and checks end by themselves.
inline constexpr Duration kTakeBackMax = std::chrono::milliseconds(500);

}  // namespace outrider::registries
