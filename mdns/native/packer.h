// SPDX-License-Identifier: Apache-2.0
// Packs records into as few datagrams as possible. A group is a set of records that stay together
// in one datagram, because some readers assemble an instance from a single packet.
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

/// Goodbyes: each record is a group of its own.
void pack_records(std::span<const dns::Record> records, std::size_t limit, Emit& emit);

struct Proposal {
  dns::Name name;
  std::vector<dns::Record> records;  // unique ones of that name
};
/// Probes (§8.1): a question of type ANY for each name, its records in Authority.
void pack_probes(std::span<const Proposal> proposals, std::size_t limit, Emit& emit);

struct AskedQuestion {
  dns::Question question;
  std::vector<dns::Record> known;  // §7.1
};
/// Known answers that do not fit follow in further packets, after one with the TC bit (§7.2). At
/// most `packets` packets are emitted with known answers.
void pack_questions(std::span<const AskedQuestion> questions, std::size_t limit,
                    std::size_t packets, Emit& emit);

}  // namespace outrider::mdns
