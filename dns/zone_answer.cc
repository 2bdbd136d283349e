// SPDX-License-Identifier: Apache-2.0
#include "dns/zone_answer.h"

#include <algorithm>
#include <numeric>

#include "dns/wire/service_binding.h"
#include "dns/wire/zone_error.h"

namespace outrider::dns {
namespace {

constexpr std::uint8_t kNsLabel[] = {2, 'n', 's'};
constexpr std::uint8_t kHostmasterLabel[] = {10, 'h', 'o', 's', 't', 'm', 'a', 's', 't', 'e', 'r'};
constexpr std::uint32_t kSoaRefresh = 3'600, kSoaRetry = 600, kSoaExpire = 86'400;

/// Types of which an answer holds some records of a large set. Of SRV it holds all: a proxy takes
/// servers that it does not find for gone.
bool is_sampled(RrType type) {
  return type == RrType::a || type == RrType::aaaa || type == RrType::https || type == RrType::svcb;
}

/// Where the zone's origin begins in the question; for the overlay at the root, whose names are
/// each a zone of their own, the name itself.
NamePlace origin_place(const LocalZone& zone, const Query& query) {
  const std::size_t size = zone.origin().wire().size();
  return size == 1 ? kQuestionName : kQuestionName + query.name_size - size;
}

bool write_soa(const LocalZone& zone, const Query& query, Section section, Ttl ttl, Reply& reply) {
  const NamePlace origin = origin_place(zone, query);
  ByteWriter& out = reply.begin(origin, RrType::soa, RrClass::in, ttl);
  out.put(kNsLabel);
  write_pointer(out, origin);
  out.put(kHostmasterLabel);
  write_pointer(out, origin);
  out.u32(zone.serial());
  for (const std::uint32_t number : {kSoaRefresh, kSoaRetry, kSoaExpire})
    out.u32(number);
  out.u32(zone.options().negative_ttl);
  return reply.end(section);
}

/// Clients must not keep a record beyond its lifetime, so the rest of it is rounded down.
Ttl bounded_ttl(Ttl ttl, std::uint32_t expires, TimePoint now) {
  if (expires == StoredRecord::kNever) return ttl;
  const Duration left = expires * StoredRecord::kTick - now.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left).count();
  return static_cast<Ttl>(std::clamp<std::int64_t>(seconds, 0, ttl));
}

/// The name in `wire` relative to the zone, folded into `buffer`; nullopt if it is outside.
std::optional<Bytes> relative_to(const LocalZone& zone, Bytes wire,
                                 std::uint8_t (&buffer)[kNameBytesMax]) {
  const Bytes origin = zone.origin().wire();
  if (wire.size() < origin.size() || wire.size() > kNameBytesMax) return std::nullopt;
  std::ranges::transform(wire, buffer, fold);
  const std::size_t size = wire.size() - origin.size();
  std::size_t at = 0;
  while (at < size)
    at += wire[at] + 1U;
  const Bytes folded(buffer, wire.size());
  if (at != size || !std::ranges::equal(folded.subspan(size), origin)) return std::nullopt;
  return folded.first(size);
}

}  // namespace

ZoneAnswerer::ZoneAnswerer(std::uint64_t seed)
    : random_(seed), order_(std::make_unique_for_overwrite<std::uint16_t[]>(kRecordsPerNameMax)) {
  static_assert(kRecordsPerNameMax <= 0x1'0000);
}

std::optional<Bytes> ZoneAnswerer::relative(const LocalZone& zone, const Query& query) {
  const Bytes origin = zone.origin().wire();
  if (query.name_size < origin.size()) return std::nullopt;
  const std::size_t begin = query.name_size - origin.size();
  if (std::memcmp(query.lower + begin, origin.data(), origin.size()) != 0) return std::nullopt;
  // The tail agrees; it is a zone's name only if it begins at a label.
  for (std::size_t i = query.label_count + 1U; i-- > 0;) {
    if (query.labels[i] <= begin) {
      if (query.labels[i] != begin) return std::nullopt;
      break;
    }
  }
  return Bytes(query.lower, begin);
}

/// Puts the places of at most `limit` records (0: all) into order_: by rank; within a rank the
/// first is drawn by weight and the others follow in any order.
std::size_t ZoneAnswerer::choose(std::span<const StoredRecord> records, std::size_t limit) {
  const std::size_t want = limit == 0 ? records.size() : std::min(limit, records.size());
  std::size_t chosen = 0;
  for (std::size_t begin = 0; chosen < want;) {
    std::size_t end = begin;
    std::uint64_t weights = 0;
    while (end < records.size() && records[end].rank == records[begin].rank)
      weights += records[end++].weight;
    std::uint16_t* const group = order_.get() + begin;
    const std::size_t size = end - begin;
    std::iota(group, group + size, static_cast<std::uint16_t>(begin));
    if (size > 1) {
      std::uint64_t drawn = random_.below(weights);
      std::size_t first = 0;
      while (drawn >= records[begin + first].weight)
        drawn -= records[begin + first++].weight;
      std::swap(group[0], group[first]);
      const std::size_t needed = std::min(size, want - chosen);
      for (std::size_t i = 1; i < needed; ++i)
        std::swap(group[i], group[i + random_.below(size - i)]);
    }
    chosen += std::min(size, want - chosen);
    begin = end;
  }
  return want;
}

/// One TTL for all records of a set (RFC 2181 §5.2): those that were chosen.
Ttl ZoneAnswerer::set_ttl(const LocalZone& zone, const ZoneNode& node,
                          std::span<const StoredRecord> records, std::size_t count,
                          TimePoint now) const {
  std::uint32_t expires = StoredRecord::kNever;
  for (std::size_t i = 0; i < count; ++i)
    expires = std::min(expires, records[order_[i]].expires);
  const Ttl most = zone.options().ttl;
  return bounded_ttl(node.stale ? std::min(most, kStaleZoneTtl) : most, expires, now);
}

void ZoneAnswerer::remember_target(NamePlace place, Bytes name) {
  if (target_count_ == kAdditionalTargetsMax || place > kPointerReach) return;
  for (std::size_t i = 0; i < target_count_; ++i)
    if (std::ranges::equal(targets_[i].name, name)) return;
  targets_[target_count_++] = {place, name};
}

void ZoneAnswerer::write_set(const LocalZone& zone, const ZoneNode& node, RrType type,
                             TimePoint now, Reply& reply) {
  const auto records = node.records(type);
  const std::size_t count = choose(records, is_sampled(type) ? zone.options().answers : 0);
  const Ttl ttl = set_ttl(zone, node, records, count, now);
  const std::size_t origin_size = zone.origin().wire().size();

  for (std::size_t i = 0; i < count; ++i) {
    const StoredRecord& record = records[order_[i]];
    Bytes rdata = node.rdata(record);
    ByteWriter& out = reply.begin(kQuestionName, type, RrClass::in, ttl);
    const std::size_t start = out.size();
    if (record.ends_in_origin) {
      // The question ends in the origin, too.
      rdata = rdata.first(rdata.size() - origin_size);
      out.put(rdata);
      write_pointer(out, kHeaderBytes + node.name().size());
    } else {
      out.put(rdata);
    }
    if (!reply.end(Section::answer)) {
      reply.truncated = true;  // RFC 2181 §9
      return;
    }
    if (type == RrType::srv && rdata.size() > 6) remember_target(start + 6, rdata.subspan(6));
    if (type == RrType::https || type == RrType::svcb)
      remember_target(start + kBindingTargetOffset, target_of_binding(rdata));
  }
}

void ZoneAnswerer::write_additional(const LocalZone& zone, TimePoint now, Reply& reply) {
  std::uint8_t folded[kNameBytesMax];
  for (std::size_t i = 0; i < target_count_; ++i) {
    const auto name = relative_to(zone, targets_[i].name, folded);
    const ZoneNode* const node = name ? zone.store().find(*name) : nullptr;
    if (node == nullptr) continue;
    for (const RrType type : {RrType::a, RrType::aaaa}) {
      const auto records = node->records(type);
      const std::size_t count = choose(records, zone.options().answers);
      const Ttl ttl = set_ttl(zone, *node, records, count, now);
      for (std::size_t k = 0; k < count; ++k) {
        const StoredRecord& record = records[order_[k]];
        // What does not fit is left out, without TC (RFC 2181 §9).
        if (!reply.add(Section::additional, targets_[i].place, type, RrClass::in, ttl,
                       node->rdata(record)))
          return;
      }
    }
  }
}

ZoneOutcome ZoneAnswerer::write(const LocalZone& zone, const Query& query, Bytes relative,
                                const ZoneNode* node, TimePoint now, Reply& reply) {
  const bool at_origin = relative.empty() && zone.origin().wire().size() > 1;
  const ZoneOptions& options = zone.options();
  reply.authoritative = true;
  target_count_ = 0;
  RrType type = query.type;
  if (type == RrType::any) {  // RFC 8482 §4.1: one set
    if (at_origin)
      type = RrType::soa;
    else if (node != nullptr && !node->records().empty())
      type = node->records().front().type;
  }
  if (at_origin && type == RrType::soa) {
    write_soa(zone, query, Section::answer, options.ttl, reply);
    return ZoneOutcome::answer;
  }
  if (at_origin && type == RrType::ns) {
    const NamePlace origin = origin_place(zone, query);
    ByteWriter& out = reply.begin(origin, RrType::ns, RrClass::in, options.ttl);
    const std::size_t place = out.size();
    out.put(kNsLabel);
    write_pointer(out, origin);
    reply.end(Section::answer);
    std::uint8_t ns[kNameBytesMax];
    const auto origin_wire = zone.origin().wire();
    std::ranges::copy(kNsLabel, ns);
    std::ranges::copy(origin_wire, ns + sizeof kNsLabel);
    remember_target(place, Bytes(ns, sizeof kNsLabel + origin_wire.size()));
    write_additional(zone, now, reply);
    return ZoneOutcome::answer;
  }
  if (node != nullptr) write_set(zone, *node, type, now, reply);
  if (reply.has(Section::answer) || reply.truncated) {
    if (const auto error = zone_error({.answered = true, .stale = node->stale}))
      reply.set_extended_error(*error, node->why());
    if (!reply.truncated) write_additional(zone, now, reply);
    return ZoneOutcome::answer;
  }
  const bool known = at_origin || node != nullptr;
  if (!known) reply.rcode = Rcode::nxdomain;
  if (node != nullptr)
    if (const auto error = zone_error(
            {.empty = node->set && node->records().empty(), .has_why = !node->why().empty()}))
      reply.set_extended_error(*error, node->why());
  write_soa(zone, query, Section::authority, options.negative_ttl, reply);  // RFC 2308 §2
  return known ? ZoneOutcome::nodata : ZoneOutcome::unknown;
}

}  // namespace outrider::dns
