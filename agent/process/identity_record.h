// SPDX-License-Identifier: Apache-2.0
// The host's identity as it became known, kept in the state directory: a host whose network card
// comes after the agent has the same identity before and after that, and at the next start. A clone
// may have a copy of the record; it has other cards, and chooses an identity of its own. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/process/host_identity.h"

namespace outrider {

struct IdentityRecord {
  std::string identity;
  std::string machine;             // a hash of the machine id and serial number
  std::string boot_id;             // of the boot in which the identity was chosen
  std::uint64_t namespace_id = 0;  // in which it was last known
  std::vector<std::string> cards;  // permanent addresses seen with it, at most kCardsMax

  bool operator==(const IdentityRecord&) const = default;
};

/// What to keep from now on, with the identity that this host has. Where nothing shows whose record
/// `kept` is, it is this host's only as long as there is no card that two hosts could be met by.
IdentityRecord settle_identity(const HostFacts& facts, const std::optional<IdentityRecord>& kept);

std::string write_identity(const IdentityRecord& record);
/// Nothing for a text that write_identity() does not write.
std::optional<IdentityRecord> read_identity(std::string_view text);

}  // namespace outrider
