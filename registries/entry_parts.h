// SPDX-License-Identifier: Apache-2.0
// What entries have in common in whatever registry they are written: the marks of an agent, and
// limits for what other programs wrote.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "registries/engine.h"

namespace outrider::registries {

inline constexpr std::size_t kEndpointsPerEntryMax = 16;
inline constexpr std::size_t kTagsPerEntryMax = 64;
inline constexpr std::size_t kMetadataPerEntryMax = 64;

/// Metadata that marks what an agent has written: its identity, and the id of the registration.
inline constexpr std::string_view kWriterMark = "outrider.node";
inline constexpr std::string_view kIdMark = "outrider.id";

/// Addresses that readers can use, IPv4 first: neither link-local nor wildcard; loopback only if
/// the entry is for this host only.
std::vector<IpAddress> public_addresses(const Entry& entry);
/// Members of `metadata` that are texts, numbers or booleans, as texts; the marks and the weight of
/// an agent go to where they belong in `entry`.
void read_metadata(const json::Value* metadata, Entry& entry);
/// The first kTagsPerEntryMax texts of a list.
std::vector<std::string> read_tags(const json::Array& list);
/// "passing", "warning" or "critical", for registries that have no other states.
const char* status_of(Health health);

}  // namespace outrider::registries
