// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/sightings.h"

#include <algorithm>

#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {

using dns::RrType;

// --- What has changed ---------------------------------------------------------------------------

void Sightings::on_pointer(const dns::Name& instance, LostReason reason) {
  if (!instances_.contains(instance)) {
    if (!key_of(instance) || instances_.size() >= kSightingsMax) return;
    const auto fresh = instances_.try_emplace(instance).first;
    fresh->second.name = &fresh->first;
  }
  on_record(instance, reason);
}

void Sightings::on_record(const dns::Name& instance, LostReason reason) {
  const auto known = instances_.find(instance);
  if (known == instances_.end()) return;
  known->second.reason = reason;
  dirty_.insert(instance);
}

void Sightings::on_address(const dns::Name& host, LostReason reason) {
  const auto known = hosts_.find(host);
  if (known == hosts_.end()) return;
  known->second.reason = reason;
  if (known->second.spreading) {
    known->second.changed_again = true;
    return;
  }
  known->second.spreading = true;
  spreading_.push_back({host, std::nullopt});
}

/// A peer may let thousands of instances point to one host, and change its addresses with each
/// record.
void Sightings::spread() {
  std::size_t left = kInstancesSettledAtOnce;
  while (left > 0 && !spreading_.empty()) {
    Spread& each = spreading_.front();
    const auto known = hosts_.find(each.host);
    if (known == hosts_.end()) {
      spreading_.pop_front();
      continue;
    }
    Host& host = known->second;
    auto at = each.after ? host.instances.upper_bound(&*each.after) : host.instances.begin();
    for (; left > 0 && at != host.instances.end(); ++at, --left) {
      on_record(**at, host.reason);
      each.after = **at;
    }
    if (at != host.instances.end()) return;
    if (std::exchange(host.changed_again, false)) {
      each.after.reset();
      continue;
    }
    host.spreading = false;
    spreading_.pop_front();
  }
}

void Sightings::on_address_refreshed(TimePoint now, const dns::Name& host) {
  const auto known = hosts_.find(host);
  if (known == hosts_.end()) return;
  if (known->second.instances.size() <= kInstancesUpdatedAtOnce)
    return on_address(host, LostReason::goodbye);
  if (std::exchange(known->second.gathering, true)) return;
  gathered_.emplace_back(now + kRefreshGather, host);
}

bool Sightings::on_reconfirm(const dns::Name& instance) {
  const auto known = instances_.find(instance);
  if (known == instances_.end()) return false;
  known->second.reason = LostReason::reconfirmed;
  known->second.reconfirming = true;
  return true;
}

void Sightings::report_again(const ServiceType& type) {
  for (auto& [name, instance] : instances_)
    if (instance.reported && instance.reported->key.type == type)
      events_.push_back(Sighted{*instance.reported});
}

std::vector<dns::Name> Sightings::names() const {
  std::vector<dns::Name> out;
  for (const auto& [name, instance] : instances_)
    out.push_back(name);
  return out;
}

// --- What follows -------------------------------------------------------------------------------

void Sightings::run(TimePoint now) {
  for (; !gathered_.empty() && gathered_.front().first <= now; gathered_.pop_front()) {
    const auto known = hosts_.find(gathered_.front().second);
    if (known == hosts_.end()) continue;
    known->second.gathering = false;
    on_address(known->first, known->second.reason);
  }
  // A flood names thousands in a moment, so their time is over in one moment too.
  for (std::size_t left = kUnresolvedForgottenAtOnce;
       left > 0 && !unresolved_.empty() && unresolved_.begin()->first <= now; --left)
    forget(*unresolved_.begin()->second);
  settle(now);
}

std::optional<TimePoint> Sightings::next_due() const {
  if (!dirty_.empty() || !spreading_.empty() || !events_.empty()) return TimePoint{};
  std::optional<TimePoint> due;
  if (!gathered_.empty()) due = gathered_.front().first;
  if (!unresolved_.empty() && (!due || unresolved_.begin()->first < *due))
    due = unresolved_.begin()->first;
  return due;
}

void Sightings::settle(TimePoint now) {
  spread();
  for (const dns::Name& name : std::exchange(dirty_, {})) {
    const auto known = instances_.find(name);
    if (known != instances_.end()) settle_instance(now, known->second);
  }
  ask_next(now);
}

void Sightings::settle_instance(TimePoint now, Instance& instance) {
  const auto ptrs = cache_.find_pointers(*instance.name);
  const bool named = std::any_of(ptrs.begin(), ptrs.end(),
                                 [](const CachedRecord* record) { return !record->leaving; });
  auto sighting = named ? assemble(instance) : std::nullopt;
  if (sighting) {
    stop_waiting(instance);
    instance.was_whole = true;
    instance.reconfirming = false;
    if (instance.reported != sighting) {
      take_spot(instance, {sighting->key.type, sighting->port});
      instance.reported = sighting;
      events_.push_back(Sighted{std::move(*sighting)});
    }
    return;
  }
  if (instance.reported) lose(instance);
  if (named) return wait_for_missing(now, instance);
  leave_host(instance);
  remove(dns::Name(*instance.name));
}

// --- Instances that are not whole ---------------------------------------------------------------

void Sightings::wait_for_missing(TimePoint now, Instance& instance) {
  if (!instance.forgotten_at) {
    instance.forgotten_at = now + kResolveLife;
    unresolved_.emplace(*instance.forgotten_at, &instance);
  }
  if (!instance.asking) {
    if (asking_ >= kResolvingMax && !instance.was_whole) {
      unasked_.emplace(*instance.forgotten_at, &instance);
      return;
    }
    instance.asking = true;
    ++asking_;
  }
  ask_for_missing(now, instance);
}

/// The newest, which have most of their time left.
void Sightings::ask_next(TimePoint now) {
  while (asking_ < kResolvingMax && !unasked_.empty()) {
    const auto last = std::prev(unasked_.end());
    Instance& next = *last->second;
    unasked_.erase(last);
    wait_for_missing(now, next);
  }
}

void Sightings::stop_waiting(Instance& instance) {
  if (!instance.forgotten_at) return;
  unresolved_.erase({*instance.forgotten_at, &instance});
  unasked_.erase({*instance.forgotten_at, &instance});
  instance.forgotten_at.reset();
  if (std::exchange(instance.asking, false)) --asking_;
}

void Sightings::forget(Instance& instance) {
  forgotten_types_.insert(instance.name->parent());
  for (const CachedRecord* record : cache_.find_pointers(*instance.name))
    cache_.erase(*record);
  leave_host(instance);
  remove(dns::Name(*instance.name));
}

bool Sightings::evict_unresolved() {
  if (unresolved_.empty()) return false;
  // Those that are asked about keep their place for their time: a flood costs no more questions.
  for (std::size_t i = 0; i < kUnresolvedEvicted && !unresolved_.empty(); ++i)
    forget(unasked_.empty() ? *unresolved_.begin()->second : *unasked_.begin()->second);
  return true;
}

void Sightings::remove(const dns::Name& instance) {
  for (const RrType type : {RrType::srv, RrType::txt}) {
    questions_.forget(instance, type);
    for (const CachedRecord* record : cache_.find(instance, type))
      cache_.erase(*record);
  }
  const auto known = instances_.find(instance);
  stop_waiting(known->second);
  instances_.erase(known);
}

void Sightings::lose(Instance& instance) {
  LostReason reason = instance.reason;
  if (instance.reconfirming && reason == LostReason::expired) reason = LostReason::reconfirmed;
  events_.push_back(Lost{instance.reported->key, reason});
  // The host may be alive, and what it sent was lost.
  if (reason == LostReason::expired || reason == LostReason::reconfirmed)
    lost_types_.insert(instance.name->parent());
  instance.reported.reset();
}

void Sightings::ask_for_missing(TimePoint now, const Instance& instance) {
  for (const RrType type : {RrType::srv, RrType::txt})
    if (!cache_.has_live(*instance.name, type))
      questions_.start(now, *instance.name, type, kResolveTries);
  if (instance.host == nullptr) return;
  const dns::Name& host = instance.host->first;
  if (cache_.has_live(host, RrType::a) || cache_.has_live(host, RrType::aaaa)) return;
  // Names of other domains are not asked for by multicast (RFC 6762 §3). Some libraries
  // (bonjour-service) announce their host's name without ".local", and its addresses with it.
  if (host.is_under(local_domain()))
    for (const RrType type : {RrType::a, RrType::aaaa})
      questions_.start(now, host, type, kResolveTries);
  // Some libraries (grandcat/zeroconf) answer no question for a host, but give its addresses along
  // with the SRV (RFC 6763 §12.2).
  questions_.start(now, *instance.name, RrType::srv, kResolveTries);
}

// --- Assembling ---------------------------------------------------------------------------------

/// The best live record: one of `link`, else of a real link rather than the loopback, else of the
/// lowest link, so that the choice is stable; of one link the newest.
const CachedRecord* Sightings::best(const dns::Name& name, RrType type, std::uint32_t link) const {
  const CachedRecord* chosen = nullptr;
  const auto rank = [&](const CachedRecord& record) {
    const Link* on = links_.find(record.link);
    return std::tuple(record.link != link, on == nullptr || on->loopback, record.link,
                      -record.received.time_since_epoch().count());
  };
  for (const CachedRecord* record : std::as_const(cache_).find(name, type)) {
    if (record->leaving) continue;
    if (chosen == nullptr || rank(*record) < rank(*chosen)) chosen = record;
  }
  return chosen;
}

/// Those of the links on which the instance itself is announced: one for this host alone must not
/// be reached over the LAN, although its host has an address there.
std::vector<SightedAddress> Sightings::addresses_for(const Instance& instance,
                                                     HostAddresses addresses) const {
  const auto here = [&](const SightedAddress& address) {
    const auto all = std::as_const(cache_).find(*instance.name, RrType::srv);
    return std::any_of(all.begin(), all.end(), [&](const CachedRecord* record) {
      return !record->leaving && record->link == address.interface;
    });
  };
  if (std::any_of(addresses.all.begin(), addresses.all.end(), here))
    std::erase_if(addresses.all, [&](const SightedAddress& address) { return !here(address); });
  addresses.drop_duplicates();
  return std::move(addresses.all);
}

std::optional<Sighting> Sightings::assemble(Instance& instance) {
  const CachedRecord* srv = best(*instance.name, RrType::srv, 0);
  if (srv == nullptr) {
    leave_host(instance);
    return std::nullopt;
  }
  const dns::SrvData data = srv->srv();
  watch_host(instance, data.target);
  const CachedRecord* txt = best(*instance.name, RrType::txt, srv->link);
  HostAddresses of_host = addresses_of(cache_, data.target);
  if (txt == nullptr || of_host.all.empty() || data.port == 0) return std::nullopt;

  Sighting sighting;
  sighting.key = *key_of(*instance.name);
  sighting.host = data.target.to_display();
  sighting.port = data.port;
  sighting.priority = data.priority;
  sighting.weight = data.weight;
  sighting.txt = TxtStrings::from_wire(as_bytes(txt->rdata));
  sighting.own_host = srv->from_here;
  sighting.by_host =
      srv->from_here || std::ranges::any_of(of_host.all, [&](const SightedAddress& each) {
        return each.address.with_scope(0) == srv->source.with_scope(0);
      });
  TimePoint ptr_expires{};
  for (const CachedRecord* record : cache_.find_pointers(*instance.name))
    if (!record->leaving) ptr_expires = std::max(ptr_expires, record->expires);
  sighting.expires = std::min({ptr_expires, srv->expires, txt->expires, of_host.expire});
  sighting.addresses = addresses_for(instance, std::move(of_host));
  return sighting;
}

// --- Hosts of instances -------------------------------------------------------------------------

void Sightings::watch_hosts() {
  for (const dns::Name& name : dirty_) {
    const auto known = instances_.find(name);
    const CachedRecord* srv = best(name, RrType::srv, 0);
    if (known != instances_.end() && srv != nullptr) watch_host(known->second, srv->srv().target);
  }
}

void Sightings::watch_host(Instance& instance, const dns::Name& host) {
  if (instance.host != nullptr && instance.host->first == host) return;
  leave_host(instance);
  instance.host = &*hosts_.try_emplace(host).first;
  instance.host->second.instances.insert(instance.name);
}

void Sightings::take_spot(Instance& instance, Spot spot) {
  if (instance.spot == spot) return;
  leave_spot(instance);
  const dns::Name*& latest = instance.host->second.latest[spot];
  if (latest != nullptr) rivals_.insert(*latest);
  latest = instance.name;
  instance.spot = std::move(spot);
}

void Sightings::leave_spot(Instance& instance) {
  if (!instance.spot) return;
  auto& latest = instance.host->second.latest;
  const auto held = latest.find(*instance.spot);
  if (held != latest.end() && held->second == instance.name) latest.erase(held);
  instance.spot.reset();
}

/// A host without instances and lookups is forgotten, with its addresses.
void Sightings::leave_host(Instance& instance) {
  if (instance.host == nullptr) return;
  leave_spot(instance);
  Hosts::value_type& left = *std::exchange(instance.host, nullptr);
  left.second.instances.erase(instance.name);
  if (!left.second.instances.empty()) return;
  const dns::Name host = left.first;
  hosts_.erase(host);
  if (lookups_.waits_for(host)) return;
  lookups_.forget(host);
  questions_.forget_addresses(host);
  for (const RrType type : {RrType::a, RrType::aaaa})
    for (const CachedRecord* record : cache_.find(host, type))
      cache_.erase(*record);
}

}  // namespace outrider::mdns
