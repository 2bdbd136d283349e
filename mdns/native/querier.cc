// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/querier.h"

#include <algorithm>

#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

/// Cache events handled in one turn; the rest comes with the next turn.
constexpr std::size_t kCacheEventsAtOnce = 4'096;

}  // namespace

Querier::Querier(const Links& links, Random& random, const OwnRecords* own)
    : own_(own),
      cache_(random),
      questions_(links, random, cache_),
      lookups_(cache_, questions_,
               [this](const dns::Name& host) { return sightings_.has_host(host); }),
      sightings_(links, cache_, questions_, lookups_) {}

// --- What is browsed ----------------------------------------------------------------------------

BrowseReasons Querier::reasons(const dns::Name& type) const {
  BrowseReasons out;
  out.configured = configured_.contains(type);
  out.asked = asked_.contains(type);
  for (const CachedRecord* record : cache_.find_pointers(type))
    if (!record->leaving && *record->owner == services_name()) out.enumerated = true;
  return out;
}

void Querier::update_browsing(TimePoint now, const dns::Name& type) {
  if (!reasons(type).any()) return stop_browsing(type);
  if (browsed_.size() >= kBrowsedTypesMax || !browsed_.insert(type).second) return;
  questions_.start(now, type, RrType::ptr, kAskForEver);
}

void Querier::stop_browsing(const dns::Name& type) {
  if (browsed_.erase(type) == 0) return;
  questions_.forget(type, RrType::ptr);
  for (CachedRecord* record : cache_.find(type, RrType::ptr)) {
    const dns::Name instance = record->target();
    cache_.erase(*record);
    sightings_.on_record(instance, LostReason::expired);
  }
}

void Querier::browse(TimePoint now, const std::vector<ServiceType>& types) {
  questions_.start(now, services_name(), RrType::ptr, kAskForEver);
  std::unordered_set<dns::Name, dns::NameHash> configured;
  for (const ServiceType& type : types)
    if (const auto name = type_name(type)) configured.insert(*name);
  const auto before = std::exchange(configured_, std::move(configured));
  for (const dns::Name& type : configured_)
    update_browsing(now, type);
  for (const dns::Name& type : before) {
    if (configured_.contains(type)) continue;
    asked_.erase(type);
    update_browsing(now, type);
  }
}

void Querier::ask(TimePoint now, const ServiceType& type) {
  const auto name = type_name(type);
  if (!name || questions_.hurry(now, *name, RrType::ptr)) return;
  asked_.insert(*name);
  update_browsing(now, *name);
  // Not browsed: there is no room.
  if (!questions_.hurry(now, *name, RrType::ptr)) asked_.erase(*name);
}

void Querier::ask_again(TimePoint now, const dns::Name& type) {
  questions_.hurry(now, type, RrType::ptr);
}

// --- Turns --------------------------------------------------------------------------------------

void Querier::restart(TimePoint now) {
  questions_.restart(now);
}

void Querier::on_resume(TimePoint now) {
  for (const dns::Name& instance : sightings_.names())
    confirm_instance(now, instance);
  restart(now);
}

void Querier::drop_link(TimePoint now, std::uint32_t link) {
  on_cache_events(now, cache_.drop_link(link), LostReason::interface_down);
  sightings_.settle(now);
}

void Querier::run(TimePoint now, Outlet& outlet) {
  on_cache_events(now, cache_.advance(now, kCacheEventsAtOnce), LostReason::expired);
  sightings_.run(now);
  lookups_.settle(now);
  questions_.run(now, outlet);
}

std::optional<TimePoint> Querier::next_due() const {
  std::optional<TimePoint> due = cache_.next_due();
  for (const auto& at : {questions_.next_due(), sightings_.next_due(), lookups_.next_due()})
    if (at && (!due || *at < *due)) due = at;
  return due;
}

std::vector<Querier::Event> Querier::take_events() {
  std::vector<Event> events;
  for (Sightings::Event& event : sightings_.take_events())
    std::visit([&](auto& each) { events.emplace_back(std::move(each)); }, event);
  for (HostAnswer& answer : lookups_.take_answers())
    events.emplace_back(std::move(answer));
  return events;
}

bool Querier::lookup_host(TimePoint now, std::uint64_t id, const dns::Name& host,
                          TimePoint deadline) {
  return lookups_.start(now, id, host, deadline);
}

void Querier::cancel_lookup(std::uint64_t id) {
  lookups_.cancel(id);
}

// --- Responses ----------------------------------------------------------------------------------

bool Querier::is_wanted(const Link& link, const dns::Record& record) const {
  if (record.rr_class != dns::RrClass::in) return false;
  if (record.type == RrType::ptr) {
    const auto* data = std::get_if<dns::NameData>(&record.data);
    if (data == nullptr) return false;
    if (record.name == services_name()) return type_of(data->name).has_value();
    if (!browsed_.contains(record.name) || data->name.parent() != record.name) return false;
    // Our own announcement, returned by a reflector or after its echo was forgotten.
    const Claim* claim = own_ != nullptr ? own_->claim_named(data->name) : nullptr;
    return claim == nullptr || !own_->answers(*claim, link);
  }
  if (record.type == RrType::srv || record.type == RrType::txt) return sightings_.has(record.name);
  if (record.type == RrType::a || record.type == RrType::aaaa)
    return sightings_.has_host(record.name) || lookups_.knows(record.name);
  return false;
}

void Querier::on_response(TimePoint now, const Link& link, const Packet& packet) {
  // In the order in which records make each other wanted: types, instances, data of instances,
  // addresses of their hosts.
  const auto each = [&](auto&& matches) {
    for (const dns::Record& record : packet.answers)
      if (matches(record)) take(now, link, packet, record);
    for (const dns::Record& record : packet.additionals)
      if (matches(record)) take(now, link, packet, record);
  };
  each([](const dns::Record& r) { return r.type == RrType::ptr && r.name == services_name(); });
  each([](const dns::Record& r) { return r.type == RrType::ptr && r.name != services_name(); });
  each([](const dns::Record& r) { return r.type == RrType::srv || r.type == RrType::txt; });
  // Only makes their addresses wanted. What else to report or to ask for is known once the whole
  // datagram has been read.
  sightings_.watch_hosts();
  each([](const dns::Record& r) { return r.type == RrType::a || r.type == RrType::aaaa; });
  sightings_.settle(now);
  // Last: settling may have asked for what this datagram says does not exist (§6.1).
  each([](const dns::Record& r) { return r.type == RrType::nsec; });
  lookups_.settle(now);
}

void Querier::take(TimePoint now, const Link& link, const Packet& packet,
                   const dns::Record& record) {
  if (record.type == RrType::nsec) return questions_.forget_denied(record);
  if (!is_wanted(link, record) || !has_room(now, record)) return;
  const auto* address = std::get_if<dns::AddressData>(&record.data);
  if (address != nullptr) {
    // A loopback address is valid on this host only; the others never are a host's.
    if (address->address.is_any() || address->address.is_multicast()) return;
    if (address->address.is_loopback() && !link.loopback) return;
  }
  if (record.cache_flush && record.ttl > 0)
    cache_.flush_older(now, link.index, record.name, record.type);
  const Cache::Put put = cache_.put(now, link.index, record, packet.from.address, packet.from_here);
  if (put == Cache::Put::refused || put == Cache::Put::unknown) return;
  if (put != Cache::Put::goodbye) questions_.forget_if_answered(now, record.name, record.type);
  if (address != nullptr && put == Cache::Put::refreshed)
    return on_address_refreshed(now, record.name);
  const auto* data = std::get_if<dns::NameData>(&record.data);
  on_record_changed(now, record.name, record.type, data != nullptr ? &data->name : nullptr,
                    LostReason::goodbye);
}

void Querier::on_address_refreshed(TimePoint now, const dns::Name& host) {
  sightings_.on_address_refreshed(now, host);
  lookups_.on_address(host);
}

void Querier::on_record_changed(TimePoint now, const dns::Name& owner, RrType type,
                                const dns::Name* target, LostReason reason) {
  if (type == RrType::ptr && owner == services_name()) {
    // A type that was asked for and then enumerated is no longer browsed once the enumeration ends.
    if (!reasons(*target).enumerated) asked_.erase(*target);
    update_browsing(now, *target);
  } else if (type == RrType::ptr) {
    sightings_.on_pointer(*target, reason);
  } else if (type == RrType::srv || type == RrType::txt) {
    sightings_.on_record(owner, reason);
  } else {
    sightings_.on_address(owner, reason);
    lookups_.on_address(owner);
  }
}

// --- The cache ----------------------------------------------------------------------------------

bool Querier::has_room(TimePoint now, const dns::Record& record) {
  const auto* ptr = std::get_if<dns::NameData>(&record.data);
  if (ptr != nullptr && record.name != services_name() && record.ttl > 0 &&
      sightings_.size() >= kSightingsMax && !sightings_.has(ptr->name) && !make_room(now))
    return false;
  if (cache_.size() < kCacheRecordsMax && cache_.bytes() + 2 * kCacheRdataMax < kCacheBytesMax)
    return true;
  return make_room(now);
}

/// Evicts records of the source that has sent most, so that a flooding source evicts its own
/// records first.
bool Querier::make_room(TimePoint now) {
  const auto source = cache_.loudest_source();
  if (!source) return false;
  on_cache_events(now, cache_.drop_some_of(*source, kCacheRecordsMax / 64), LostReason::evicted);
  sightings_.settle(now);
  return sightings_.size() < kSightingsMax;
}

void Querier::on_cache_events(TimePoint now, const std::vector<Cache::Event>& events,
                              LostReason reason) {
  for (const Cache::Event& event : events) {
    const CachedRecord& record = event.record;
    if (event.due == Cache::Due::refresh) {
      refresh(now, event.owner, record.type);
      continue;
    }
    std::optional<dns::Name> target;
    if (record.type == RrType::ptr) target = record.target();
    on_record_changed(now, event.owner, record.type, target ? &*target : nullptr,
                      record.leaving ? LostReason::goodbye : reason);
  }
}

/// §5.2: only what is still of interest. Addresses that a lookup left in the cache are not.
void Querier::refresh(TimePoint now, const dns::Name& owner, RrType type) {
  const bool address = type == RrType::a || type == RrType::aaaa;
  if (address && !sightings_.has_host(owner)) return;
  if (!questions_.hurry(now, owner, type)) questions_.start(now, owner, type, 1);
}

// --- Queries of other hosts ---------------------------------------------------------------------

void Querier::on_query(TimePoint now, const Link& link, const Packet& packet) {
  if (packet.legacy || packet.truncated || !packet.authorities.empty()) return;
  for (const dns::Question& asked : packet.questions) {
    if (asked.unicast_response) continue;
    KnownRdata known;
    for (const dns::Record& answer : packet.answers)
      if (answer.type == asked.type && answer.name == asked.name)
        known.emplace(as_text(dns::rdata_wire(answer.data)));
    questions_.on_heard(now, link, packet.family, asked, known);
    // §10.5: records that the query should be answered with. Records of the asker itself do not
    // count, and over the other family the asker cannot be recognized.
    for (CachedRecord* record : cache_.find(asked.name, asked.type)) {
      if (record->link != link.index || record->leaving || known.contains(record->rdata)) continue;
      // §7.3, ahead of our own refresh: the answer serves us as well. Once only, in case the owner
      // does not receive the query.
      if (record->refreshes == 0) cache_.skip_refresh(*record, now, kQuestionIntervalFirst);
      if (record->source.family() == packet.family && record->source != packet.from.address)
        note_unanswered(now, *record);
    }
  }
}

void Querier::note_unanswered(TimePoint now, CachedRecord& record) {
  if (record.unanswered == 0 || now - record.unanswered_since > kUnansweredWait) {
    record.unanswered = 0;
    record.unanswered_since = now;
  }
  // Queries in quick succession count as one: its answer may still be on its way.
  if (record.unanswered > 0 && now - record.unanswered_since < kReconfirmInterval) return;
  if (++record.unanswered < kUnansweredMax) return;
  record.unanswered = 0;
  confirm(now, record);
}

// --- Confirming (§10.4) -------------------------------------------------------------------------

/// Asks for the record again; it expires unless it is answered.
void Querier::confirm(TimePoint now, const CachedRecord& record) {
  cache_.shorten(record, now + kReconfirmInterval * kReconfirmTries);
  questions_.repeat(now, *record.owner, record.type);
}

void Querier::reconfirm(TimePoint now, const SightingKey& key) {
  if (const auto instance = instance_name(key.label, key.type)) confirm_instance(now, *instance);
}

void Querier::confirm_instance(TimePoint now, const dns::Name& instance) {
  if (!sightings_.on_reconfirm(instance)) return;
  for (const RrType type : {RrType::srv, RrType::txt})
    for (const CachedRecord* record : cache_.find(instance, type))
      confirm(now, *record);
  for (const CachedRecord* record : cache_.find_pointers(instance))
    confirm(now, *record);
}

}  // namespace outrider::mdns
