// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/cache.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/text.h"
#include "dns/wire/name.h"
#include "mdns/native/limits.h"
#include "mdns/txt_strings.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

std::optional<std::string> rdata_of(const dns::Record& record) {
  bool fits = false;  // no other types are asked for
  if (record.type == RrType::a || record.type == RrType::aaaa)
    fits = std::holds_alternative<dns::AddressData>(record.data);
  else if (record.type == RrType::ptr)
    fits = std::holds_alternative<dns::NameData>(record.data);
  else if (record.type == RrType::srv)
    fits = std::holds_alternative<dns::SrvData>(record.data);
  else if (record.type == RrType::txt)
    fits = std::holds_alternative<dns::TxtData>(record.data);
  if (!fits || record.rr_class != dns::RrClass::in) return std::nullopt;
  const std::vector<std::uint8_t> wire = dns::rdata_wire(record.data);
  if (wire.size() > kCacheRdataMax) return std::nullopt;
  return std::string(as_text(wire));
}

/// Names in RDATA compare without case. In PTR and SRV only numbers precede the name; those are
/// compared as octets.
bool same_rdata(RrType type, const std::string& a, const std::string& b) {
  if (type != RrType::ptr && type != RrType::srv) return a == b;
  const std::size_t fixed = type == RrType::srv ? 6 : 0;
  return a.compare(0, fixed, b, 0, fixed) == 0 &&
         equal_fold(std::string_view(a).substr(fixed), std::string_view(b).substr(fixed));
}

/// `value` occurs once. The records that go are mostly the oldest, which are found at once even
/// where a type has thousands.
template <class T>
void remove_first(std::vector<T>& values, const T& value) {
  values.erase(std::find(values.begin(), values.end(), value));
}

std::uint32_t seconds_of(TimePoint at) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
}

/// Cells that are kept although most of them are free.
constexpr std::size_t kCellsKept = 1'024;
/// The approximate memory of one record besides its RDATA.
constexpr std::size_t kRecordCost = sizeof(CachedRecord) + 96;

}  // namespace

dns::Name CachedRecord::target() const {
  ByteReader reader(as_bytes(rdata));
  if (type == RrType::srv) reader.take(6);
  const auto name = dns::Name::read(reader);
  OUTRIDER_ASSERT(name.has_value());  // written by rdata_wire
  return *name;
}

dns::SrvData CachedRecord::srv() const {
  ByteReader reader(as_bytes(rdata));
  dns::SrvData data;
  data.priority = reader.u16();
  data.weight = reader.u16();
  data.port = reader.u16();
  data.target = target();
  return data;
}

IpAddress CachedRecord::address() const {
  const IpAddress address = IpAddress::from_bytes(as_bytes(rdata));
  return address.is_v6() && address.is_link_local() ? address.with_scope(link) : address;
}

dns::Ttl CachedRecord::left(TimePoint now) const {
  if (expires <= now) return 0;
  return static_cast<dns::Ttl>(
      std::chrono::duration_cast<std::chrono::seconds>(expires - now).count());
}

std::size_t Cache::most_per_name(RrType type) const {
  if (type == RrType::ptr) return kCacheRecordsMax;
  return type == RrType::srv || type == RrType::txt ? kSrvOrTxtPerNameMax : kAddressesPerHostMax;
}

std::optional<Cache::Index> Cache::find_same(const dns::Record& record, std::uint32_t link,
                                             const std::string& rdata, std::size_t* count) const {
  // A service type may have thousands of PTR records; a name has few that point to it.
  const auto* ptr = std::get_if<dns::NameData>(&record.data);
  const auto entry = entries_.find(ptr != nullptr ? ptr->name : record.name);
  if (entry == entries_.end()) return std::nullopt;
  for (const Index index : ptr != nullptr ? entry->second.pointers : entry->second.records) {
    const CachedRecord& known = cells_[index].record;
    if (known.type != record.type || known.link != link) continue;
    if (ptr != nullptr && *known.owner != record.name) continue;
    ++*count;
    if (same_rdata(known.type, known.rdata, rdata)) return index;
  }
  return std::nullopt;
}

/// A goodbye counts at once, so that a host that leaves is left at once; unless the owner has just
/// contradicted one (RFC 6762 §10.1): then it is given the time to do so again.
Cache::Put Cache::take_back(TimePoint now, Index index) {
  CachedRecord& known = cells_[index].record;
  const bool doubted = !known.leaving && seconds_of(now) < known.doubted_until;
  known.leaving = !doubted;
  known.taken_back = doubted;
  known.expires = std::min(known.expires, now + (doubted ? kDoubtedGrace : kFlushGrace));
  if (doubted) known.refreshes = std::size(kRefreshPercent);  // the caller asks for it
  reschedule(index, now);
  return doubted ? Put::doubted : Put::goodbye;
}

/// A host sends over both families, over IPv6 from a link-local address that it seldom announces.
/// The other address tells more, for as long as the packet from there was good for.
void Cache::set_source(TimePoint now, CachedRecord& known, const IpAddress& source) {
  const bool tells_less = source.is_link_local() && !known.source.is_link_local();
  if (tells_less && seconds_of(now) < known.source_until) return;
  known.source_until = seconds_of(known.expires);
  if (known.source == source) return;
  count_source(known.source, -1);
  count_source(source, +1);
  known.source = source;
}

void Cache::refresh(TimePoint now, Index index, const dns::Record& record, const IpAddress& source,
                    bool from_here, std::string rdata) {
  CachedRecord& known = cells_[index].record;
  if (known.leaving || known.taken_back) known.doubted_until = seconds_of(now + kDoubtLife);
  known.leaving = known.taken_back = false;
  known.ttl = std::min(record.ttl, kTtlMax);
  known.received = now;
  known.expires = now + std::chrono::seconds(known.ttl);
  known.refreshes = known.unanswered = 0;
  set_source(now, known, source);
  known.from_here = from_here;
  known.rdata = std::move(rdata);
  reschedule(index, now);
}

Cache::Put Cache::put(TimePoint now, std::uint32_t link, const dns::Record& record,
                      const IpAddress& source, bool from_here) {
  auto rdata = rdata_of(record);
  if (!rdata) return Put::refused;
  std::size_t count = 0;
  if (const auto same = find_same(record, link, *rdata, &count)) {
    if (record.ttl == 0) return take_back(now, *same);
    const bool back = cells_[*same].record.leaving;
    refresh(now, *same, record, source, from_here, std::move(*rdata));
    return back ? Put::added : Put::refreshed;
  }
  if (record.ttl == 0) return Put::unknown;
  if (used_ >= kCacheRecordsMax || bytes_ + rdata->size() + kRecordCost > kCacheBytesMax ||
      count >= most_per_name(record.type))
    return Put::refused;

  const Index index = take_cell();
  auto& [owner, entry] = *entries_.try_emplace(record.name).first;  // stays when the table grows
  entry.records.push_back(index);
  if (const auto* ptr = std::get_if<dns::NameData>(&record.data))
    entries_[ptr->name].pointers.push_back(index);
  CachedRecord& fresh = cells_[index].record;
  fresh.owner = &owner;
  fresh.cell = index;
  fresh.type = record.type;
  fresh.link = link;
  fresh.source = source;
  bytes_ += rdata->size() + kRecordCost;
  count_source(source, +1);
  refresh(now, index, record, source, from_here, std::move(*rdata));
  return Put::added;
}

bool Cache::is_full() const {
  return used_ >= kCacheRecordsMax || bytes_ + kCacheRdataMax + kRecordCost > kCacheBytesMax;
}

void Cache::drop_if_empty(const dns::Name& name) {
  const auto entry = entries_.find(name);
  if (entry != entries_.end() && entry->second.records.empty() && entry->second.pointers.empty())
    entries_.erase(entry);
}

void Cache::flush_older(TimePoint now, std::uint32_t link, const dns::Name& name, RrType type) {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return;
  for (const Index index : entry->second.records) {
    CachedRecord& record = cells_[index].record;
    if (record.type != type || record.link != link || now - record.received <= kFlushGrace)
      continue;
    record.expires = std::min(record.expires, now + kFlushGrace);
    record.refreshes = std::size(kRefreshPercent);  // its replacement has been received
    reschedule(index, now);
  }
}

std::vector<CachedRecord*> Cache::find(const dns::Name& name, RrType type) {
  std::vector<CachedRecord*> out;
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return out;
  for (const Index index : entry->second.records)
    if (cells_[index].record.type == type) out.push_back(&cells_[index].record);
  return out;
}

std::vector<const CachedRecord*> Cache::find(const dns::Name& name, RrType type) const {
  const auto found = const_cast<Cache*>(this)->find(name, type);
  return {found.begin(), found.end()};
}

bool Cache::has_live(const dns::Name& name, RrType type) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return false;
  const auto& records = entry->second.records;
  return std::any_of(records.begin(), records.end(), [&](Index index) {
    return cells_[index].record.type == type && !cells_[index].record.leaving;
  });
}

bool Cache::has_any(const dns::Name& name, RrType type) const {
  const auto entry = entries_.find(name);
  if (entry == entries_.end()) return false;
  const auto& records = entry->second.records;
  return std::any_of(records.begin(), records.end(),
                     [&](Index index) { return cells_[index].record.type == type; });
}

std::vector<const CachedRecord*> Cache::find_pointers(const dns::Name& target) const {
  std::vector<const CachedRecord*> out;
  const auto entry = entries_.find(target);
  if (entry == entries_.end()) return out;
  for (const Index index : entry->second.pointers)
    out.push_back(&cells_[index].record);
  return out;
}

dns::Record Cache::to_record(const CachedRecord& record, TimePoint now) {
  dns::Record out;
  out.name = *record.owner;
  out.type = record.type;
  out.ttl = record.left(now);
  if (record.type == RrType::ptr)
    out.data = dns::NameData{record.target()};
  else if (record.type == RrType::srv)
    out.data = record.srv();
  else if (record.type == RrType::txt)
    out.data = dns::TxtData{TxtStrings::from_wire(as_bytes(record.rdata)).strings()};
  else
    out.data = dns::AddressData{record.address().with_scope(0)};
  return out;
}

// --- Time ---------------------------------------------------------------------------------------

TimePoint Cache::next_event(const CachedRecord& record, TimePoint now) {
  if (record.leaving || record.refreshes >= std::size(kRefreshPercent)) return record.expires;
  const Duration life = record.expires - record.received;
  // §5.2: 80, 85, 90 and 95 %, each with up to 2 % on top, so that not all ask at once.
  const Duration at =
      life / 100 * kRefreshPercent[record.refreshes] + random_.between(Duration::zero(), life / 50);
  return std::max(now, std::min(record.expires, record.received + at));
}

void Cache::reschedule(Index index, TimePoint now) {
  Cell& cell = cells_[index];
  schedule_.erase({cell.event, index});
  cell.event = next_event(cell.record, now);
  schedule_.insert({cell.event, index});
}

/// After a flood: gives the memory of free cells back. Only where no one holds a record.
void Cache::compact() {
  if (cells_.size() <= kCellsKept || used_ > cells_.size() / 4) return;
  std::deque<Cell> cells;
  std::vector<Index> moved(cells_.size());
  for (Index index = 0; index < cells_.size(); ++index) {
    if (!cells_[index].used()) continue;
    moved[index] = static_cast<Index>(cells.size());
    cells_[index].record.cell = moved[index];
    cells.push_back(std::move(cells_[index]));
  }
  cells_ = std::move(cells);
  std::vector<Index>().swap(free_);
  for (auto& [name, entry] : entries_)
    for (auto* indices : {&entry.records, &entry.pointers})
      for (Index& index : *indices)
        index = moved[index];
  std::set<std::pair<TimePoint, Index>> schedule;
  for (const auto& [at, index] : schedule_)
    schedule.emplace(at, moved[index]);
  schedule_ = std::move(schedule);
  entries_.rehash(0);
}

std::vector<Cache::Event> Cache::advance(TimePoint now, std::size_t most) {
  compact();
  std::vector<Event> events;
  while (!schedule_.empty() && events.size() < most) {
    const auto [at, index] = *schedule_.begin();
    CachedRecord& record = cells_[index].record;
    const bool ends = record.expires <= now;
    // Refreshes that are nearly due go along with those that are due.
    const Duration ahead = events.empty() || ends ? Duration::zero() : kRefreshGather;
    if (at > now + ahead || (at > now && record.refreshes >= std::size(kRefreshPercent))) break;
    if (ends) {
      events.push_back({Due::expired, record, *record.owner});
      release(index);
      continue;
    }
    ++record.refreshes;
    events.push_back({Due::refresh, record, *record.owner});
    reschedule(index, now);
    if (cells_[index].event <= now + kRefreshGather && cells_[index].event > now) break;
  }
  return events;
}

std::optional<TimePoint> Cache::next_due() const {
  if (schedule_.empty()) return std::nullopt;
  return schedule_.begin()->first;
}

void Cache::shorten(const CachedRecord& record, TimePoint at) {
  CachedRecord& mine = cells_[record.cell].record;
  if (mine.expires <= at) return;
  mine.expires = at;
  mine.refreshes = std::size(kRefreshPercent);  // the caller asks for it
  reschedule(mine.cell, at);
}

void Cache::skip_refresh(const CachedRecord& record, TimePoint now, Duration ahead) {
  Cell& cell = cells_[record.cell];
  if (cell.event > now + ahead || cell.event >= record.expires) return;
  ++cell.record.refreshes;
  reschedule(record.cell, now);
}

// --- Cells --------------------------------------------------------------------------------------

Cache::Index Cache::take_cell() {
  ++used_;
  if (!free_.empty()) {
    const Index index = free_.back();
    free_.pop_back();
    return index;
  }
  cells_.emplace_back();
  return static_cast<Index>(cells_.size() - 1);
}

void Cache::count_source(const IpAddress& source, int change) {
  if (change > 0) {
    if (++by_source_[source] == kLoudSourceMin) loud_.insert(source);
    return;
  }
  const auto said = by_source_.find(source);
  if (said->second == kLoudSourceMin) loud_.erase(source);
  if (--said->second == 0) by_source_.erase(said);
}

void Cache::release(Index index) {
  Cell& cell = cells_[index];
  schedule_.erase({cell.event, index});
  const dns::Name owner = *cell.record.owner;
  remove_first(entries_.find(owner)->second.records, index);
  if (cell.record.type == RrType::ptr) {
    const dns::Name target = cell.record.target();
    remove_first(entries_.find(target)->second.pointers, index);
    drop_if_empty(target);
  }
  drop_if_empty(owner);
  bytes_ -= cell.record.rdata.size() + kRecordCost;
  count_source(cell.record.source, -1);
  cell = {};
  --used_;
  free_.push_back(index);
}

void Cache::erase(const CachedRecord& record) {
  release(record.cell);
}

std::vector<Cache::Event> Cache::drop_link(std::uint32_t link) {
  std::vector<Event> events;
  for (Index index = 0; index < cells_.size(); ++index) {
    const Cell& cell = cells_[index];
    if (!cell.used() || cell.record.link != link) continue;
    events.push_back({Due::expired, cell.record, *cell.record.owner});
    release(index);
  }
  return events;
}

std::optional<IpAddress> Cache::loudest_source() const {
  // Asked for each record that finds no room, so only those are looked at that can be it.
  const auto most = std::max_element(
      loud_.begin(), loud_.end(),
      [&](const IpAddress& a, const IpAddress& b) { return by_source_.at(a) < by_source_.at(b); });
  return most == loud_.end() ? std::nullopt : std::optional(*most);
}

std::vector<Cache::Event> Cache::drop_some_of(const IpAddress& source, std::size_t most) {
  std::vector<Event> events;
  for (Index index = 0; index < cells_.size() && events.size() < most; ++index) {
    const Cell& cell = cells_[index];
    if (!cell.used() || cell.record.source != source) continue;
    events.push_back({Due::expired, cell.record, *cell.record.owner});
    release(index);
  }
  return events;
}

}  // namespace outrider::mdns
