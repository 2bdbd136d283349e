// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/querier.h"

#include <algorithm>

#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

/// Events of the cache that are looked at in one go; the rest comes with the next turn.
constexpr std::size_t kCacheEventsAtOnce = 4'096;

std::uint64_t channel_of(const Link& link, IpAddress::Family family) {
  return std::uint64_t{link.index} * 2 + (family == IpAddress::Family::v6 ? 1 : 0);
}

}  // namespace

// --- What is asked ------------------------------------------------------------------------------

void Querier::schedule(const QuestionKey& key, Question& question, TimePoint due) {
  if (std::exchange(question.scheduled, true)) schedule_.erase({question.due, &key});
  question.due = due;
  schedule_.insert({due, &key});
}

void Querier::start(TimePoint now, const dns::Name& name, RrType type, unsigned tries) {
  const auto [at, fresh] = questions_.try_emplace({name, type});
  Question& question = at->second;
  if (fresh) {
    question.interval = kQuestionIntervalFirst;
    question.tries_left = tries;
    // §5.2: not all at once, when the same event starts many hosts; but together with what this
    // host is about to ask anyway.
    const TimePoint latest = now + kSharedDelayMax;
    TimePoint due = now + random_.between(kSharedDelayMin, kSharedDelayMax);
    if (!schedule_.empty() && schedule_.begin()->first >= now && schedule_.begin()->first <= latest)
      due = schedule_.begin()->first;
    schedule(at->first, question, due);
  }
}

void Querier::forget_question(const dns::Name& name, RrType type) {
  const auto found = questions_.find({name, type});
  if (found == questions_.end()) return;
  if (found->second.scheduled) schedule_.erase({found->second.due, &found->first});
  questions_.erase(found);
}

void Querier::start_browsing(TimePoint now, const dns::Name& type) {
  if (browsed_.size() >= kBrowsedTypesMax || !browsed_.insert(type).second) return;
  start(now, type, RrType::ptr, 0);
}

void Querier::stop_browsing(const dns::Name& type) {
  if (browsed_.erase(type) == 0) return;
  forget_question(type, RrType::ptr);
  for (CachedRecord* record : cache_.find(type, RrType::ptr)) {
    const dns::Name instance = record->target();
    cache_.erase(*record);
    if (const auto known = instances_.find(instance); known != instances_.end())
      known->second.reason = LostReason::expired;
    dirty_.insert(instance);
  }
}

void Querier::browse(TimePoint now, const std::vector<ServiceType>& types) {
  start(now, services_name(), RrType::ptr, 0);
  std::unordered_set<dns::Name, dns::NameHash> wanted_types;
  for (const ServiceType& type : types)
    if (const auto name = type_name(type)) wanted_types.insert(*name);
  const auto before = std::exchange(configured_, std::move(wanted_types));
  for (const dns::Name& type : configured_)
    start_browsing(now, type);
  for (const dns::Name& type : before)
    if (!configured_.contains(type)) enumerated(now, type);
}

/// A type that nobody configured is browsed as long as the enumeration knows it.
void Querier::enumerated(TimePoint now, const dns::Name& type) {
  for (const CachedRecord* record : cache_.find_pointers(type))
    if (!record->leaving && *record->owner == services_name()) return start_browsing(now, type);
  if (!configured_.contains(type)) stop_browsing(type);
}

void Querier::ask(TimePoint now, const ServiceType& type) {
  const auto name = type_name(type);
  if (!name) return;
  const auto known = questions_.find({*name, RrType::ptr});
  if (known != questions_.end()) return schedule(known->first, known->second, now);
  // Once: answers are taken as long as the question stands, and the type is browsed from then on
  // if somebody enumerates it.
  start_browsing(now, *name);
  if (const auto fresh = questions_.find({*name, RrType::ptr}); fresh != questions_.end())
    schedule(fresh->first, fresh->second, now);
}

void Querier::ask_again(TimePoint now, const dns::Name& type) {
  const auto known = questions_.find({type, RrType::ptr});
  if (known != questions_.end()) schedule(known->first, known->second, now);
}

void Querier::restart(TimePoint now) {
  const TimePoint due = now + random_.between(kSharedDelayMin, kSharedDelayMax);
  for (auto& [key, question] : questions_) {
    if (question.tries_left == 0) question.interval = kQuestionIntervalFirst;
    schedule(key, question, due);
  }
}

void Querier::resumed(TimePoint now) {
  std::vector<dns::Name> known;
  for (const auto& [name, instance] : instances_)
    known.push_back(name);
  for (const dns::Name& name : known)
    if (const auto key = key_of(name)) reconfirm(now, *key);
  restart(now);
}

void Querier::run(TimePoint now, Outlet& outlet) {
  cache_events(now, cache_.advance(now, kCacheEventsAtOnce), LostReason::expired);
  settle_gathered(now);
  settle(now);
  settle_lookups(now);

  std::vector<QuestionKey> due;
  while (!schedule_.empty() && schedule_.begin()->first <= now) {
    const QuestionKey& key = *schedule_.begin()->second;
    schedule_.erase(schedule_.begin());
    Question& question = questions_.find(key)->second;
    question.scheduled = false;
    due.push_back(key);
    if (question.tries_left == 1) {
      questions_.erase(QuestionKey(key));
      continue;
    }
    if (question.tries_left > 1) --question.tries_left;
    schedule(key, question, now + question.interval);
    question.interval = std::min(question.interval * 2, kQuestionIntervalMax);
  }
  pacer_.run(now, links_, outlet);
  if (!due.empty()) send_questions(now, due, outlet);
}

std::optional<TimePoint> Querier::next_due() const {
  std::optional<TimePoint> due = cache_.next_due();
  const auto sooner = [&](TimePoint at) {
    if (!due || at < *due) due = at;
  };
  if (!schedule_.empty()) sooner(schedule_.begin()->first);
  if (const auto more = pacer_.next_due()) sooner(*more);
  if (!gathered_.empty()) sooner(gathered_.front().first);
  for (const auto& [id, lookup] : lookups_)
    sooner(lookup.deadline);
  if (!dirty_.empty() || !dirty_hosts_.empty()) sooner(TimePoint{});
  return due;
}

void Querier::send_questions(TimePoint now, const std::vector<QuestionKey>& keys, Outlet& outlet) {
  for (const Link& link : links_.all) {
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
      if (!link.has(family)) continue;
      std::vector<AskedQuestion> asked;
      for (const QuestionKey& key : keys) {
        const auto question = questions_.find(key);
        const bool heard = question != questions_.end() &&
                           std::any_of(question->second.heard.begin(), question->second.heard.end(),
                                       [&](const auto& h) {
                                         return h.first == channel_of(link, family) &&
                                                now - h.second < kQuestionIntervalFirst;
                                       });
        if (!heard) asked.push_back({{key.name, key.type}, known_answers(now, link, key)});
      }
      Emit emit = [&](Bytes payload) { pacer_.send(now, link, family, payload, outlet); };
      pack_questions(asked, link.payload(family), pacer_.room(link, family), emit);
    }
  }
  for (const QuestionKey& key : keys)
    if (const auto question = questions_.find(key); question != questions_.end())
      question->second.heard.clear();
  has_asked_ = true;
}

std::vector<dns::Record> Querier::known_answers(TimePoint now, const Link& link,
                                                const QuestionKey& key) const {
  std::vector<dns::Record> known;
  // §7.1 is for shared records; unique ones are asked for because they are about to end.
  if (key.type != RrType::ptr) return known;
  for (const CachedRecord* record : cache_.find(key.name, key.type)) {
    if (record->link != link.index || record->leaving) continue;
    if (record->expires - now > std::chrono::seconds(record->ttl) / 2)
      known.push_back(Cache::to_record(*record, now));
  }
  return known;
}

// --- What is heard ------------------------------------------------------------------------------

bool Querier::wanted(const Link& link, const dns::Record& record) const {
  if (record.rr_class != dns::RrClass::in) return false;
  if (record.type == RrType::ptr) {
    const auto* data = std::get_if<dns::NameData>(&record.data);
    if (data == nullptr) return false;
    if (record.name == services_name()) return type_of(data->name).has_value();
    if (!browsed_.contains(record.name) || data->name.parent() != record.name) return false;
    // Our own words, come back from a reflector or later than an echo is remembered.
    const Claim* claim = own_ != nullptr ? own_->claim_named(data->name) : nullptr;
    return claim == nullptr || !own_->answers(*claim, link);
  }
  if (record.type == RrType::srv || record.type == RrType::txt)
    return instances_.contains(record.name);
  if (record.type == RrType::a || record.type == RrType::aaaa) return hosts_.contains(record.name);
  return false;
}

void Querier::on_response(TimePoint now, const Link& link, const Packet& packet) {
  // In the order in which they make each other wanted: types, instances, what instances have,
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
  // Only that their hosts are wanted: what else there is to say of these instances, and to ask for,
  // is known when all of the datagram is.
  watch_hosts();
  each([](const dns::Record& r) { return r.type == RrType::a || r.type == RrType::aaaa; });
  // Last: looking at an instance may have asked for what the same datagram says is not there.
  settle(now);
  each([](const dns::Record& r) { return r.type == RrType::nsec; });
  settle_lookups(now);
}

/// Questions that wait to be asked, or asked again, are over once somebody else's were answered:
/// else every host asks what the first one has just asked for all.
void Querier::answered(TimePoint now, const dns::Name& name, RrType type) {
  const auto known = questions_.find({name, type});
  if (known == questions_.end() || known->second.tries_left == 0) return;
  for (const CachedRecord* record : cache_.find(name, type)) {
    // Of another link, or of a set that comes in several datagrams: that one still is due.
    if (record->expires - now <= std::chrono::seconds(record->ttl) / 2) return;
  }
  forget_question(name, type);
}

/// RFC 6762 §6.1: no answer will come for these types.
void Querier::denied(const dns::Record& nsec) {
  const auto* data = std::get_if<dns::NsecData>(&nsec.data);
  if (data == nullptr || nsec.ttl == 0) return;
  for (const RrType type : {RrType::a, RrType::aaaa}) {
    if (std::find(data->types.begin(), data->types.end(), type) != data->types.end()) continue;
    const auto known = questions_.find({nsec.name, type});
    if (known != questions_.end() && known->second.tries_left > 0) forget_question(nsec.name, type);
  }
}

void Querier::take(TimePoint now, const Link& link, const Packet& packet,
                   const dns::Record& record) {
  if (record.type == RrType::nsec) return denied(record);
  if (!wanted(link, record) || !room_for(now, record)) return;
  if (const auto* data = std::get_if<dns::AddressData>(&record.data)) {
    // Loopback means this host, and only here; the others are no address of a host.
    const IpAddress& address = data->address;
    if (address.is_any() || address.is_multicast()) return;
    if (address.is_loopback() && !link.loopback) return;
  }
  if (record.cache_flush && record.ttl > 0)
    cache_.flush_older(now, link.index, record.name, record.type);
  const Cache::Put put = cache_.put(now, link.index, record, packet.from.address, packet.from_here);
  if (put == Cache::Put::refused || put == Cache::Put::unknown) return;
  if (put != Cache::Put::goodbye) answered(now, record.name, record.type);
  const bool address = std::holds_alternative<dns::AddressData>(record.data);
  if (address && put == Cache::Put::refreshed) return refreshed_address(now, record.name);
  const auto* data = std::get_if<dns::NameData>(&record.data);
  touched(now, record.name, record.type, data != nullptr ? &data->name : nullptr,
          LostReason::goodbye);
}

/// Its instances are what they were, but for the time until they expire. Where there are many, that
/// is looked at once for all that comes meanwhile: each of a thousand announcements has the address
/// of their host in it.
void Querier::refreshed_address(TimePoint now, const dns::Name& host) {
  const auto watch = hosts_.find(host);
  if (watch == hosts_.end()) return;
  if (watch->second.instances.size() <= kInstancesUpdatedAtOnce)
    return touched(now, host, RrType::a, nullptr, LostReason::goodbye);
  if (!watch->second.lookups.empty()) dirty_hosts_.insert(host);
  if (std::exchange(watch->second.gathering, true)) return;
  gathered_.emplace_back(now + kRefreshGather, host);
}

void Querier::settle_gathered(TimePoint now) {
  for (; !gathered_.empty() && gathered_.front().first <= now; gathered_.pop_front()) {
    const auto watch = hosts_.find(gathered_.front().second);
    if (watch == hosts_.end()) continue;
    watch->second.gathering = false;
    dirty_.insert(watch->second.instances.begin(), watch->second.instances.end());
  }
}

void Querier::touched(TimePoint now, const dns::Name& owner, RrType type, const dns::Name* target,
                      LostReason reason) {
  if (type == RrType::ptr) {
    if (owner == services_name()) return enumerated(now, *target);
    return touched_pointer(*target, reason);
  }
  if (type == RrType::srv || type == RrType::txt) {
    if (const auto known = instances_.find(owner); known != instances_.end()) {
      known->second.reason = reason;
      dirty_.insert(owner);
    }
    return;
  }
  const auto watch = hosts_.find(owner);
  if (watch == hosts_.end()) return;
  for (const dns::Name& instance : watch->second.instances) {
    instances_.find(instance)->second.reason = reason;
    dirty_.insert(instance);
  }
  if (!watch->second.lookups.empty()) {
    dirty_hosts_.insert(owner);
  } else if (watch->second.instances.empty() && cache_.find(owner, RrType::a).empty() &&
             cache_.find(owner, RrType::aaaa).empty()) {
    hosts_.erase(watch);
  }
}

void Querier::touched_pointer(const dns::Name& target, LostReason reason) {
  auto known = instances_.find(target);
  if (known == instances_.end()) {
    auto key = key_of(target);
    if (!key || instances_.size() >= kSightingsMax) return;
    known = instances_.try_emplace(target).first;
    known->second.name = target;
    known->second.key = std::move(*key);
  }
  known->second.reason = reason;
  dirty_.insert(target);
}

bool Querier::room_for(TimePoint now, const dns::Record& record) {
  const auto* ptr = std::get_if<dns::NameData>(&record.data);
  if (ptr != nullptr && record.name != services_name() && record.ttl > 0 &&
      instances_.size() >= kSightingsMax && !instances_.contains(ptr->name) && !make_room(now))
    return false;
  if (cache_.size() < kCacheRecordsMax && cache_.bytes() + 2 * kCacheRdataMax < kCacheBytesMax)
    return true;
  return make_room(now);
}

/// Something is full: records of whoever has said most go. Whoever floods pays for it, and those
/// that were there before stay.
bool Querier::make_room(TimePoint now) {
  const auto source = cache_.loudest_source();
  if (!source) return false;
  cache_events(now, cache_.drop_some_of(*source, kCacheRecordsMax / 64), LostReason::evicted);
  settle(now);
  return instances_.size() < kSightingsMax;
}

void Querier::cache_events(TimePoint now, const std::vector<Cache::Event>& events,
                           LostReason reason) {
  for (const Cache::Event& event : events) {
    const CachedRecord& record = event.record;
    if (event.due == Cache::Due::refresh) {
      // §5.2: only as long as somebody wants it.
      if (!still_wanted(event.owner, record.type)) continue;
      const auto known = questions_.find({event.owner, record.type});
      if (known == questions_.end())
        start(now, event.owner, record.type, 1);
      else
        schedule(known->first, known->second, now);
      continue;
    }
    std::optional<dns::Name> target;
    if (record.type == RrType::ptr) target = record.target();
    touched(now, event.owner, record.type, target ? &*target : nullptr,
            record.leaving ? LostReason::goodbye : reason);
  }
}

bool Querier::still_wanted(const dns::Name& owner, RrType type) const {
  if (type != RrType::a && type != RrType::aaaa) return true;
  const auto watch = hosts_.find(owner);
  return watch != hosts_.end() && !watch->second.instances.empty();
}

void Querier::drop_link(TimePoint now, std::uint32_t link) {
  cache_events(now, cache_.drop_link(link), LostReason::interface_down);
  settle(now);
}

// --- What others ask ----------------------------------------------------------------------------

void Querier::on_query(TimePoint now, const Link& link, const Packet& packet) {
  if (packet.legacy || packet.truncated || !packet.authorities.empty()) return;
  for (const dns::Question& asked : packet.questions) {
    if (asked.unicast_response) continue;
    KnownRdata known;
    for (const dns::Record& answer : packet.answers)
      if (answer.type == asked.type && answer.name == asked.name)
        known.emplace(as_text(dns::rdata_wire(answer.data)));
    suppress_duplicate(now, link, packet, asked, known);
    // §10.5: records that should be answered with. Not those of the asker, who does not answer
    // himself; whether he is the same over the other family is not known.
    for (CachedRecord* record : cache_.find(asked.name, asked.type)) {
      if (record->link != link.index || record->leaving || known.contains(record->rdata)) continue;
      // §7.3, before it is even our turn to ask: the answer is for us as well. Once only, should
      // the asker be heard by us and not by whoever should answer.
      if (record->refreshes == 0) cache_.skip_refresh(*record, now, kQuestionIntervalFirst);
      if (record->source.family() == packet.family && record->source != packet.from.address)
        unanswered(now, *record);
    }
  }
}

/// §7.3: somebody else asks what we are about to ask, and knows nothing that we do not know.
void Querier::suppress_duplicate(TimePoint now, const Link& link, const Packet& packet,
                                 const dns::Question& asked, const KnownRdata& known) {
  const auto ours = questions_.find({asked.name, asked.type});
  if (ours == questions_.end() || !ours->second.scheduled ||
      ours->second.due > now + kQuestionIntervalFirst)
    return;
  std::size_t shared = 0;
  for (const CachedRecord* record : cache_.find(asked.name, asked.type))
    if (record->link == link.index && !record->leaving && known.contains(record->rdata)) ++shared;
  if (shared < known.size()) return;
  auto& heard = ours->second.heard;
  const std::uint64_t channel = channel_of(link, packet.family);
  std::erase_if(heard, [&](const auto& h) { return h.first == channel; });
  heard.emplace_back(channel, now);
}

void Querier::unanswered(TimePoint now, CachedRecord& record) {
  if (record.unanswered == 0 || now - record.unanswered_since > kUnansweredWait) {
    record.unanswered = 0;
    record.unanswered_since = now;
  }
  // Queries in quick succession are one: its answer may still be on its way.
  if (record.unanswered > 0 && now - record.unanswered_since < kReconfirmInterval) return;
  if (++record.unanswered < kUnansweredMax) return;
  record.unanswered = 0;
  confirm(now, record);
}

/// §10.4: asked for again, and gone if nobody answers.
void Querier::confirm(TimePoint now, const CachedRecord& record) {
  const QuestionKey key{*record.owner, record.type};
  cache_.shorten(record, now + kReconfirmInterval * kReconfirmTries);
  const auto known = questions_.find(key);
  if (known != questions_.end() && known->second.tries_left == 0) {
    // A browse: once more from its beginning, at one, three and seven seconds.
    known->second.interval = kQuestionIntervalFirst;
    return schedule(known->first, known->second, now);
  }
  forget_question(key.name, key.type);
  const auto at = questions_.try_emplace(key).first;
  at->second.interval = kQuestionIntervalFirst;
  at->second.tries_left = kReconfirmTries;
  schedule(at->first, at->second, now);
}

void Querier::reconfirm(TimePoint now, const SightingKey& key) {
  const auto name = instance_name(key.label, key.type);
  if (!name) return;
  const auto known = instances_.find(*name);
  if (known == instances_.end()) return;
  known->second.reason = LostReason::reconfirmed;
  known->second.reconfirming = true;
  for (const RrType type : {RrType::srv, RrType::txt})
    for (const CachedRecord* record : cache_.find(*name, type))
      confirm(now, *record);
  for (const CachedRecord* record : cache_.find_pointers(*name))
    confirm(now, *record);
}

}  // namespace outrider::mdns
