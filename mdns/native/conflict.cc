// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/conflict.h"

#include <algorithm>
#include <tuple>

namespace outrider::mdns {
namespace {

/// §8.2: class, then type, then the octets of the uncompressed RDATA, as unsigned numbers.
using Rank = std::tuple<std::uint16_t, std::uint16_t, std::vector<std::uint8_t>>;

/// §8.2.1: the records of a set are compared pairwise in their sorted order.
std::vector<Rank> sorted_ranks(std::span<const dns::Record> records) {
  std::vector<Rank> ranks;
  for (const dns::Record& record : records)
    ranks.emplace_back(static_cast<std::uint16_t>(record.rr_class),
                       static_cast<std::uint16_t>(record.type), dns::rdata_wire(record.data));
  std::sort(ranks.begin(), ranks.end());
  return ranks;
}

}  // namespace

std::strong_ordering compare_proposals(std::span<const dns::Record> ours,
                                       std::span<const dns::Record> theirs) {
  // The lexicographically later set wins; where one runs out of records first, the longer one.
  return sorted_ranks(ours) <=> sorted_ranks(theirs);
}

std::vector<dns::Record> proposal(const OwnRecords& own, const Claim& claim, const Link& link) {
  std::vector<OwnKey> keys;
  own.collect_unique(claim, link, keys);
  std::vector<dns::Record> records;
  for (const OwnKey& key : keys)
    if (key.kind != OwnKind::nsec) records.push_back(*own.record(key, link));
  return records;
}

bool conflicts(const OwnRecords& own, const Claim& claim, Phase phase, const Link& link,
               const dns::Record& record) {
  if (record.ttl == 0 || record.type == dns::RrType::nsec) return false;
  if (record.rr_class != dns::RrClass::in || own.find(record, link)) return false;
  if (claim.is_host) {
    const auto* address = std::get_if<dns::AddressData>(&record.data);
    // An address of ours, of another link or an earlier one: a bridge or reflector returned it.
    if (address != nullptr && link.is_own_host(address->address)) return false;
    return phase == Phase::probing || address != nullptr;
  }
  if (const auto* srv = std::get_if<dns::SrvData>(&record.data)) {
    const Claim* host = own.claim_named(srv->target);
    // A leftover of ourselves: no other host has our host label.
    if (host != nullptr && host->is_host && !host->is_name) return false;
  }
  return phase == Phase::probing || record.type == dns::RrType::srv ||
         record.type == dns::RrType::txt;
}

}  // namespace outrider::mdns
