// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/querier.h"

#include <algorithm>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

/// Cache events handled in one turn; the rest comes with the next turn.
constexpr std::size_t kCacheEventsAtOnce = 128;
/// Types looked at to find one that makes room for another.
constexpr std::size_t kTypesLookedAt = 8;

}  // namespace

Querier::Querier(const Links& links, Random& random, const OwnRecords* own)
    : own_(own),
      cache_(random),
      questions_(links, random, cache_),
      lookups_(cache_, questions_,
               [this](const dns::Name& host) { return sightings_.has_host(host); }),
      sightings_(links, cache_, questions_, lookups_),
      browsed_(0, cache_.name_hash()) {}

// --- What is browsed ----------------------------------------------------------------------------

BrowseReasons Querier::reasons(const dns::Name& type) const {
  BrowseReasons out;
  out.configured = configured_.contains(type);
  out.asked = asked_.contains(type);
  // A goodbye for the last instance counts after its second: another host may contradict it.
  out.alive = cache_.has_any(type, RrType::ptr);
  for (const CachedRecord* record : cache_.find_pointers(type))
    if (!record->leaving && *record->owner == services_name()) out.enumerated = true;
  return out;
}

void Querier::update_browsing(TimePoint now, const dns::Name& type) {
  const BrowseReasons why = reasons(type);
  if (!why.any()) return stop_browsing(type);
  if (browsed_.contains(type)) return;
  if (browsed_.size() >= kBrowsedTypesMax && !make_type_room(why)) return;
  const auto at = browsed_.emplace(type, next_age_).first;
  by_age_.emplace(next_age_++, &at->first);
  questions_.start(now, type, RrType::ptr, kAskForEver);
}

/// Stops browsing the oldest type that was only enumerated, so that names that a peer makes up do
/// not keep real types out; for a configured type, any that is not configured.
bool Querier::make_type_room(const BrowseReasons& newcomer) {
  std::size_t looks = newcomer.configured ? browsed_.size() : kTypesLookedAt;
  for (; looks > 0; --looks) {
    const auto oldest = by_age_.begin();
    const dns::Name& type = *oldest->second;
    const BrowseReasons why = reasons(type);
    if (!why.configured && (newcomer.configured || !(why.alive || why.asked))) {
      const dns::Name gone = type;
      for (const CachedRecord* record : cache_.find_pointers(gone))
        if (*record->owner == services_name()) cache_.erase(*record);
      stop_browsing(gone);
      return true;
    }
    browsed_.at(type) = next_age_;
    by_age_.emplace(next_age_++, oldest->second);
    by_age_.erase(oldest);
  }
  return false;
}

void Querier::stop_browsing(const dns::Name& type) {
  const auto known = browsed_.find(type);
  if (known == browsed_.end()) return;
  questions_.forget(type, RrType::ptr);
  for (CachedRecord* record : cache_.find(type, RrType::ptr)) {
    const dns::Name instance = record->target();
    cache_.erase(*record);
    sightings_.on_record(instance, LostReason::expired);
  }
  by_age_.erase(known->second);
  browsed_.erase(known);
}

void Querier::browse(TimePoint now, const std::vector<ServiceType>& types) {
  questions_.start(now, services_name(), RrType::ptr, kAskForEver);
  std::set<dns::Name> configured;
  for (const ServiceType& type : types)
    if (const auto name = type_name(type)) configured.insert(*name);
  const auto before = std::exchange(configured_, std::move(configured));
  for (const dns::Name& type : configured_)
    update_browsing(now, type);
  for (const dns::Name& type : before)
    if (!configured_.contains(type)) update_browsing(now, type);
  std::vector<dns::Name> changed;
  std::set_symmetric_difference(before.begin(), before.end(), configured_.begin(),
                                configured_.end(), std::back_inserter(changed));
  for (const dns::Name& type : changed)
    sightings_.report_again(*type_of(type));
}

void Querier::ask(TimePoint now, const ServiceType& type) {
  const auto name = type_name(type);
  if (!name) return;
  if (!browsed_.contains(*name) || asked_.contains(*name)) browse_for_a_while(now, *name);
  questions_.hurry(now, *name, RrType::ptr);
}

void Querier::browse_for_a_while(TimePoint now, const dns::Name& type) {
  if (asked_.size() >= kAskedTypesMax && !asked_.contains(type)) {
    const auto oldest =
        std::min_element(asked_.begin(), asked_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    const dns::Name gone = oldest->first;
    asked_.erase(oldest);
    update_browsing(now, gone);
  }
  asked_[type] = now + kAskLife;
  update_browsing(now, type);
  if (!browsed_.contains(type)) asked_.erase(type);  // there is no room
}

void Querier::ask_again(TimePoint now, const dns::Name& type) {
  questions_.hurry(now, type, RrType::ptr);
}

/// The enumeration PTR of the type has come or gone. Some libraries take it back when one of many
/// instances ends: a reason to ask who is left.
void Querier::on_enumeration(TimePoint now, const dns::Name& type) {
  const bool enumerated = reasons(type).enumerated;
  update_browsing(now, type);
  if (!enumerated) {
    questions_.repeat(now, services_name(), RrType::ptr);
    if (browsed_.contains(type)) questions_.repeat(now, type, RrType::ptr);
  } else if (!browsed_.contains(type)) {
    // There is no room. Without the record, the next answer is looked at again.
    for (const CachedRecord* record : cache_.find_pointers(type))
      if (*record->owner == services_name()) cache_.erase(*record);
  }
}

/// A sighting that ends without a goodbye may only have been out of reach: its type is asked for
/// from the first intervals on.
void Querier::follow_losses(TimePoint now) {
  for (const dns::Name& type : sightings_.take_forgotten_types())
    if (!cache_.has_any(type, RrType::ptr)) update_browsing(now, type);
  for (const dns::Name& type : sightings_.take_lost_types()) {
    std::erase_if(searched_, [&](const auto& entry) { return entry.second <= now; });
    if (searched_.size() >= kAskedTypesMax && !configured_.contains(type)) continue;
    if (!reasons(type).any()) browse_for_a_while(now, type);
    if (!browsed_.contains(type)) continue;
    searched_[type] = now + kLostAsked;
    questions_.search(now, type, RrType::ptr, now + kLostAsked);
  }
}

/// Anybody can claim the port of another host's instance, so that one is not believed to be gone:
/// it is asked for, and stays if it is answered. What comes together is one program's.
void Querier::follow_rivals(TimePoint now) {
  for (const dns::Name& instance : sightings_.take_rivals()) {
    const auto srv = cache_.find(instance, RrType::srv);
    const bool fresh = std::ranges::any_of(
        srv, [now](const CachedRecord* record) { return now - record->received < kRivalFresh; });
    if (!fresh) confirm_instance(now, instance);
  }
}

void Querier::settle(TimePoint now) {
  sightings_.settle(now);
  follow_losses(now);
  follow_rivals(now);
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
  expired_.erase(link);
  settle(now);
}

void Querier::run(TimePoint now, Outlet& outlet) {
  on_cache_events(now, cache_.advance(now, kCacheEventsAtOnce), LostReason::expired);
  sightings_.run(now);
  follow_losses(now);
  follow_rivals(now);
  lookups_.settle(now);
  end_asking(now);
  questions_.run(now, outlet);
}

void Querier::end_asking(TimePoint now) {
  std::vector<dns::Name> over;
  for (const auto& [type, until] : asked_)
    if (until <= now) over.push_back(type);
  for (const dns::Name& type : over) {
    asked_.erase(type);
    update_browsing(now, type);
  }
}

std::optional<TimePoint> Querier::next_due() const {
  std::optional<TimePoint> due = cache_.next_due();
  for (const auto& at : {questions_.next_due(), sightings_.next_due(), lookups_.next_due()})
    if (at && (!due || *at < *due)) due = at;
  for (const auto& [type, until] : asked_)
    if (!due || until < *due) due = until;
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

std::optional<TimePoint> Querier::last_expired(std::uint32_t link) const {
  const auto known = expired_.find(link);
  return known == expired_.end() ? std::nullopt : std::optional(known->second);
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
  settle(now);
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
    if (address->address == IpAddress::v4(255, 255, 255, 255)) return;
    if (address->address.is_loopback() && !link.loopback) return;
  }
  // §10.2: never set on shared records. A peer that sets it on a PTR does not speak for the others.
  if (record.cache_flush && record.ttl > 0 && record.type != RrType::ptr)
    cache_.flush_older(now, link.index, record.name, record.type);
  const Cache::Put put = this->put(now, link, packet, record);
  if (put == Cache::Put::refused || put == Cache::Put::unknown) return;
  if (put == Cache::Put::doubted) return questions_.repeat(now, record.name, record.type);
  if (put != Cache::Put::goodbye) questions_.forget_if_answered(now, record.name, record.type);
  if (address != nullptr && put == Cache::Put::refreshed)
    return on_address_refreshed(now, record.name);
  const auto* data = std::get_if<dns::NameData>(&record.data);
  on_record_changed(now, record.name, record.type, data != nullptr ? &data->name : nullptr,
                    LostReason::goodbye);
}

Cache::Put Querier::put(TimePoint now, const Link& link, const Packet& packet,
                        const dns::Record& record) {
  const auto put = [&] {
    return cache_.put(now, link.index, record, packet.from.address, packet.from_here);
  };
  // What is known already needs no room, so it is refreshed even while a flood lasts.
  const Cache::Put first = put();
  if (first != Cache::Put::refused) return first;
  if (record.type == RrType::txt && dns::rdata_wire(record.data).size() > kCacheRdataMax) {
    ++refused_texts_;
    last_refused_text_ = record.name;
    return first;
  }
  return cache_.is_full() && make_room(now) ? put() : first;
}

void Querier::on_address_refreshed(TimePoint now, const dns::Name& host) {
  sightings_.on_address_refreshed(now, host);
  lookups_.on_address(host);
}

void Querier::on_record_changed(TimePoint now, const dns::Name& owner, RrType type,
                                const dns::Name* target, LostReason reason) {
  if (type == RrType::ptr && owner == services_name()) {
    on_enumeration(now, *target);
  } else if (type == RrType::ptr) {
    sightings_.on_pointer(*target, reason);
    if (!cache_.has_any(owner, RrType::ptr)) update_browsing(now, owner);
  } else if (type == RrType::srv || type == RrType::txt) {
    sightings_.on_record(owner, reason);
  } else {
    sightings_.on_address(owner, reason);
    lookups_.on_address(owner);
  }
}

// --- The cache ----------------------------------------------------------------------------------

/// Whether an instance may be added.
bool Querier::has_room(TimePoint now, const dns::Record& record) {
  const auto* ptr = std::get_if<dns::NameData>(&record.data);
  if (ptr == nullptr || record.name == services_name() || record.ttl == 0) return true;
  if (sightings_.size() < kSightingsMax || sightings_.has(ptr->name)) return true;
  return make_room(now) && sightings_.size() < kSightingsMax;
}

/// Evicts what never became a sighting; else records of the source that has sent most, so that a
/// flooding source evicts its own records first. What a flood from many sources leaves no room for
/// is refused: the sightings that were there before stay.
bool Querier::make_room(TimePoint now) {
  if (sightings_.evict_unresolved()) return true;
  const auto source = cache_.loudest_source();
  if (!source) return false;
  on_cache_events(now, cache_.drop_some_of(*source, kLoudSourceMin), LostReason::evicted);
  settle(now);
  return true;
}

void Querier::on_cache_events(TimePoint now, const std::vector<Cache::Event>& events,
                              LostReason reason) {
  for (const Cache::Event& event : events) {
    const CachedRecord& record = event.record;
    if (event.due == Cache::Due::refresh) {
      refresh(now, event.owner, record.type);
      continue;
    }
    const bool has_goodbye = record.leaving || record.taken_back;
    if (reason == LostReason::expired && !has_goodbye && !record.from_here)
      expired_[record.link] = now;
    std::optional<dns::Name> target;
    if (record.type == RrType::ptr) target = record.target();
    on_record_changed(now, event.owner, record.type, target ? &*target : nullptr,
                      has_goodbye ? LostReason::goodbye : reason);
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
  std::vector<std::pair<std::size_t, const dns::Record*>> known_answers;  // by hash of the name
  const dns::NameHash& hash = cache_.name_hash();
  for (const dns::Question& asked : packet.questions) {
    if (asked.unicast_response) continue;
    if (!questions_.is_asking(asked.name, asked.type) && !cache_.has_any(asked.name, asked.type))
      continue;
    if (known_answers.empty()) {
      for (const dns::Record& answer : packet.answers)
        known_answers.emplace_back(hash(answer.name), &answer);
      std::sort(known_answers.begin(), known_answers.end());
    }
    KnownRdata known;
    const std::size_t wanted = hash(asked.name);
    for (auto at = std::lower_bound(known_answers.begin(), known_answers.end(),
                                    std::pair<std::size_t, const dns::Record*>(wanted, nullptr));
         at != known_answers.end() && at->first == wanted; ++at)
      if (at->second->type == asked.type && at->second->name == asked.name)
        known.emplace(as_text(dns::rdata_wire(at->second->data)));
    on_question(now, link, packet, asked, known);
  }
}

void Querier::on_question(TimePoint now, const Link& link, const Packet& packet,
                          const dns::Question& asked, const KnownRdata& known) {
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

void Querier::confirm_instance(TimePoint now, const dns::Name& instance) {
  if (!sightings_.on_reconfirm(instance)) return;
  for (const RrType type : {RrType::srv, RrType::txt})
    for (const CachedRecord* record : cache_.find(instance, type))
      confirm(now, *record);
  for (const CachedRecord* record : cache_.find_pointers(instance))
    confirm(now, *record);
}

}  // namespace outrider::mdns
