// SPDX-License-Identifier: Apache-2.0
// Reads instances in the JSON of the agent's own API. Members that are missing, as with an agent of
// an earlier version, keep their defaults; instances that are not the sibling's own are left out.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "registries/engine.h"

namespace outrider::registries {

inline constexpr std::size_t kAddressesPerEntryMax = 16;
inline constexpr std::size_t kChecksPerEntryMax = 16;
inline constexpr std::size_t kTagsPerEntryMax = 64;
inline constexpr std::size_t kMetadataPerEntryMax = 64;

/// Nothing for an instance that the sibling itself only heard of, and for one without a name.
std::optional<Entry> read_entry(const json::Value& instance, const std::string& place);

}  // namespace outrider::registries
