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
    auto key = key_of(instance);
    if (!key || instances_.size() >= kSightingsMax) return;
    Instance& fresh = instances_[instance];
    fresh.name = instance;
    fresh.key = std::move(*key);
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
  for (const dns::Name& instance : known->second.instances)
    on_record(instance, reason);
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
    dirty_.insert(known->second.instances.begin(), known->second.instances.end());
  }
  settle(now);
}

std::optional<TimePoint> Sightings::next_due() const {
  if (!dirty_.empty()) return TimePoint{};
  if (!gathered_.empty()) return gathered_.front().first;
  return std::nullopt;
}

void Sightings::settle(TimePoint now) {
  for (const dns::Name& name : std::exchange(dirty_, {})) {
    const auto known = instances_.find(name);
    if (known != instances_.end()) settle_instance(now, known->second);
  }
}

void Sightings::settle_instance(TimePoint now, Instance& instance) {
  const auto ptrs = cache_.find_pointers(instance.name);
  const bool named = std::any_of(ptrs.begin(), ptrs.end(),
                                 [](const CachedRecord* record) { return !record->leaving; });
  auto sighting = named ? assemble(instance) : std::nullopt;
  if (sighting) {
    instance.reconfirming = false;
    if (instance.reported != sighting) {
      instance.reported = sighting;
      events_.push_back(Sighted{std::move(*sighting)});
    }
    return;
  }
  if (instance.reported) lose(instance);
  if (named) return ask_for_missing(now, instance);
  leave_host(instance);
  remove(dns::Name(instance.name));
}

void Sightings::remove(const dns::Name& instance) {
  for (const RrType type : {RrType::srv, RrType::txt}) {
    questions_.forget(instance, type);
    for (const CachedRecord* record : cache_.find(instance, type))
      cache_.erase(*record);
  }
  instances_.erase(instance);
}

void Sightings::lose(Instance& instance) {
  LostReason reason = instance.reason;
  if (instance.reconfirming && reason == LostReason::expired) reason = LostReason::reconfirmed;
  events_.push_back(Lost{instance.key, reason});
  instance.reported.reset();
}

void Sightings::ask_for_missing(TimePoint now, const Instance& instance) {
  for (const RrType type : {RrType::srv, RrType::txt})
    if (!cache_.has_live(instance.name, type))
      questions_.start(now, instance.name, type, kResolveTries);
  if (!instance.host) return;
  if (cache_.has_live(*instance.host, RrType::a) || cache_.has_live(*instance.host, RrType::aaaa))
    return;
  for (const RrType type : {RrType::a, RrType::aaaa})
    questions_.start(now, *instance.host, type, kResolveTries);
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
    const auto all = std::as_const(cache_).find(instance.name, RrType::srv);
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
  const CachedRecord* srv = best(instance.name, RrType::srv, 0);
  if (srv == nullptr) {
    leave_host(instance);
    return std::nullopt;
  }
  const dns::SrvData data = srv->srv();
  watch_host(instance, data.target);
  const CachedRecord* txt = best(instance.name, RrType::txt, srv->link);
  HostAddresses of_host = addresses_of(cache_, data.target);
  if (txt == nullptr || of_host.all.empty() || data.port == 0) return std::nullopt;

  Sighting sighting;
  sighting.key = instance.key;
  sighting.host = data.target.to_display();
  sighting.port = data.port;
  sighting.priority = data.priority;
  sighting.weight = data.weight;
  sighting.txt = txt->txt();
  sighting.own_host = srv->from_here;
  sighting.by_host =
      srv->from_here || std::ranges::any_of(of_host.all, [&](const SightedAddress& each) {
        return each.address.with_scope(0) == srv->source.with_scope(0);
      });
  TimePoint ptr_expires{};
  for (const CachedRecord* record : cache_.find_pointers(instance.name))
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
  if (instance.host == host) return;
  leave_host(instance);
  instance.host = host;
  hosts_[host].instances.insert(instance.name);
}

/// A host without instances and lookups is forgotten, with its addresses.
void Sightings::leave_host(Instance& instance) {
  if (!instance.host) return;
  const dns::Name host = *std::exchange(instance.host, std::nullopt);
  const auto known = hosts_.find(host);
  known->second.instances.erase(instance.name);
  if (!known->second.instances.empty()) return;
  hosts_.erase(known);
  if (lookups_.waits_for(host)) return;
  lookups_.forget(host);
  questions_.forget_addresses(host);
  for (const RrType type : {RrType::a, RrType::aaaa})
    for (const CachedRecord* record : cache_.find(host, type))
      cache_.erase(*record);
}

}  // namespace outrider::mdns
