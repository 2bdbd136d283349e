// SPDX-License-Identifier: Apache-2.0
// Records into datagrams: as few as possible, but never an answer without what goes with it. A
// group is what must stay together: readers that assemble an instance from one packet exist.
#pragma once

#include <span>
#include <vector>

#include "base/callback.h"
#include "mdns/native/own_records.h"

namespace outrider::mdns {

struct Group {
  std::vector<OwnKey> answers;
  std::vector<OwnKey> additionals;  // NSEC at the end are left out where they do not fit
};

/// How a response differs from the ordinary multicast one.
struct ResponseShape {
  std::uint16_t id = 0;
  std::span<const dns::Question> questions;  // echoed (§6.7)
  bool legacy = false;                       // TTLs capped, no cache-flush bit (§6.7, §10.2)
};

using Emit = Callback<void(Bytes)>;

void pack_groups(const OwnRecords& own, const Link& link, std::size_t limit,
                 std::span<const Group> groups, const ResponseShape& shape, Emit& emit);

/// Records as they are, each alone a group: goodbyes.
void pack_records(std::span<const dns::Record> records, std::size_t limit, Emit& emit);

/// One probe (§8.1): a question of type ANY for each name, its records in Authority.
void pack_probes(const OwnRecords& own, const Link& link, std::size_t limit,
                 std::span<const Slot> slots, Emit& emit);

struct AskedQuestion {
  dns::Question question;
  std::vector<dns::Record> known;  // §7.1
};
/// Known answers that do not fit follow in packets of their own, announced by TC (§7.2); none
/// beyond `packets` in all.
void pack_questions(std::span<const AskedQuestion> questions, std::size_t limit,
                    std::size_t packets, Emit& emit);

}  // namespace outrider::mdns
