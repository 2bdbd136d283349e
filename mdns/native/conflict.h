// SPDX-License-Identifier: Apache-2.0
// The rules about names that two hosts want: RFC 6762 §8.1, §8.2 and §9. They decide, and change
// nothing; what follows from a decision is the Publisher's.
#pragma once

#include <compare>
#include <span>

#include "mdns/native/own_records.h"

namespace outrider::mdns {

/// §8.2: compares what two simultaneous probes propose for one name. The order of the records does
/// not matter. Greater: `ours` wins, less: `theirs` wins, equal: both claim the same data.
std::strong_ordering compare_proposals(std::span<const dns::Record> ours,
                                       std::span<const dns::Record> theirs);

/// What `claim` proposes in its probes on `link` (§8.2): its unique records.
std::vector<dns::Record> proposal(const OwnRecords& own, const Claim& claim, const Link& link);

/// Whether a record of `claim`'s name, heard in a response on `link`, means that another host has
/// the name too. While probing, any record does (§8.1); later, one of a unique type with other data
/// does (§9). Records that this host left behind, on another link or before a restart, never do.
bool conflicts(const OwnRecords& own, const Claim& claim, Phase phase, const Link& link,
               const dns::Record& record);

}  // namespace outrider::mdns
