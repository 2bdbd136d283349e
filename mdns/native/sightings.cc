// SPDX-License-Identifier: Apache-2.0
// The second half of the querier: from cached records to sightings and host addresses.
#include <algorithm>

#include "mdns/native/limits.h"
#include "mdns/native/querier.h"
#include "mdns/service_name.h"

namespace outrider::mdns {

using dns::RrType;

namespace {

/// Sorted by address: one that is heard on several links is told once.
void only_once(std::vector<SightedAddress>& sorted) {
  const auto same = [](const auto& a, const auto& b) { return a.address == b.address; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
}

}  // namespace

void Querier::settle(TimePoint now) {
  // Settling an instance may make others dirty (its host goes): go on until there are none.
  while (!dirty_.empty()) {
    const auto batch = std::exchange(dirty_, {});
    for (const dns::Name& name : batch) {
      const auto known = instances_.find(name);
      if (known != instances_.end()) settle_instance(now, known->second);
    }
  }
}

void Querier::settle_instance(TimePoint now, Instance& instance) {
  const auto ptrs = cache_.find_pointers(instance.name);
  const bool named = std::any_of(ptrs.begin(), ptrs.end(),
                                 [](const CachedRecord* record) { return !record->leaving; });
  auto sighting = named ? assemble(instance) : std::nullopt;
  if (sighting) {
    instance.reconfirming = false;
    if (instance.told != sighting) {
      instance.told = sighting;
      events_.push_back(Sighted{std::move(*sighting)});
    }
    return;
  }
  if (instance.told) lose(instance, instance.reason);
  if (named) return ask_for_missing(now, instance);
  watch_host(instance, nullptr);
  const dns::Name name = instance.name;
  for (const RrType type : {RrType::srv, RrType::txt}) {
    forget_question(name, type);
    for (const CachedRecord* record : cache_.find(name, type))
      cache_.erase(*record);
  }
  instances_.erase(name);
}

void Querier::lose(Instance& instance, LostReason reason) {
  if (instance.reconfirming && reason == LostReason::expired) reason = LostReason::reconfirmed;
  events_.push_back(Lost{instance.key, reason});
  instance.told.reset();
}

/// Of several, one that is alive: on `link` if there is one, else on a real link before the
/// loopback; the lowest, so that the choice does not wander; of one link the newest.
const CachedRecord* Querier::best(const dns::Name& name, RrType type, std::uint32_t link) const {
  const CachedRecord* chosen = nullptr;
  const auto rank = [&](const CachedRecord& record) {
    const Link* on = links_.find(record.link);
    return std::tuple(record.link != link, on == nullptr || on->loopback, record.link,
                      -record.received.time_since_epoch().count());
  };
  for (const CachedRecord* record : cache_.find(name, type)) {
    if (record->leaving) continue;
    if (chosen == nullptr || rank(*record) < rank(*chosen)) chosen = record;
  }
  return chosen;
}

std::vector<SightedAddress> Querier::addresses_of(const dns::Name& host, TimePoint* last) const {
  std::vector<SightedAddress> out;
  for (const RrType type : {RrType::a, RrType::aaaa}) {
    for (const CachedRecord* record : cache_.find(host, type)) {
      if (record->leaving) continue;
      out.push_back({record->address(), record->link});
      *last = std::max(*last, record->expires);
    }
  }
  // IPv4 first, global before link-local, the loopback last.
  const auto rank = [](const SightedAddress& a) {
    return std::tuple(a.address.is_v6(), a.address.is_loopback(), a.address.is_link_local(),
                      a.address, a.interface);
  };
  std::sort(out.begin(), out.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

std::optional<Sighting> Querier::assemble(Instance& instance) {
  const CachedRecord* srv = best(instance.name, RrType::srv, 0);
  if (srv == nullptr) {
    watch_host(instance, nullptr);
    return std::nullopt;
  }
  const dns::SrvData data = srv->srv();
  watch_host(instance, &data.target);
  const CachedRecord* txt = best(instance.name, RrType::txt, srv->link);
  TimePoint addresses_expire{};
  auto addresses = addresses_of(data.target, &addresses_expire);
  // On the links on which the instance itself is announced; one for this host alone has no business
  // on the LAN, though its host has an address there.
  const auto here = [&](const SightedAddress& address) {
    const auto all = cache_.find(instance.name, RrType::srv);
    return std::any_of(all.begin(), all.end(), [&](const CachedRecord* record) {
      return !record->leaving && record->link == address.interface;
    });
  };
  if (std::any_of(addresses.begin(), addresses.end(), here))
    std::erase_if(addresses, [&](const SightedAddress& address) { return !here(address); });
  only_once(addresses);
  if (txt == nullptr || addresses.empty() || data.port == 0) return std::nullopt;

  Sighting sighting;
  sighting.key = instance.key;
  sighting.host = data.target.to_display();
  sighting.port = data.port;
  sighting.priority = data.priority;
  sighting.weight = data.weight;
  sighting.txt = txt->txt();
  sighting.addresses = std::move(addresses);
  sighting.own_host = srv->from_here;
  TimePoint ptr_expires{};
  for (const CachedRecord* record : cache_.find_pointers(instance.name))
    if (!record->leaving) ptr_expires = std::max(ptr_expires, record->expires);
  sighting.expires = std::min({ptr_expires, srv->expires, txt->expires, addresses_expire});
  return sighting;
}

/// Of the instances that are to be looked at.
void Querier::watch_hosts() {
  for (const dns::Name& name : dirty_) {
    const auto known = instances_.find(name);
    const CachedRecord* srv = best(name, RrType::srv, 0);
    if (known == instances_.end() || srv == nullptr) continue;
    const dns::Name host = srv->srv().target;
    watch_host(known->second, &host);
  }
}

void Querier::watch_host(Instance& instance, const dns::Name* host) {
  if (host != nullptr && instance.host == *host) return;
  if (instance.host) {
    const auto watch = hosts_.find(*instance.host);
    watch->second.instances.erase(instance.name);
    if (watch->second.instances.empty() && watch->second.lookups.empty()) {
      for (const RrType type : {RrType::a, RrType::aaaa}) {
        forget_question(*instance.host, type);
        for (const CachedRecord* record : cache_.find(*instance.host, type))
          cache_.erase(*record);
      }
      hosts_.erase(watch);
    }
    instance.host.reset();
  }
  if (host == nullptr) return;
  instance.host = *host;
  hosts_[*host].instances.insert(instance.name);
}

void Querier::ask_for_missing(TimePoint now, const Instance& instance) {
  const auto alive = [&](const dns::Name& name, RrType type) {
    return best(name, type, 0) != nullptr;
  };
  for (const RrType type : {RrType::srv, RrType::txt})
    if (!alive(instance.name, type)) start(now, instance.name, type, kResolveTries);
  if (!instance.host) return;
  if (alive(*instance.host, RrType::a) || alive(*instance.host, RrType::aaaa)) return;
  for (const RrType type : {RrType::a, RrType::aaaa})
    start(now, *instance.host, type, kResolveTries);
}

// --- Addresses of hosts -------------------------------------------------------------------------

bool Querier::lookup_host(TimePoint now, std::uint64_t id, const dns::Name& host,
                          TimePoint deadline) {
  if (lookups_.size() >= kHostLookupsMax) return false;
  lookups_.emplace(id, Lookup{host, deadline});
  HostWatch& watch = hosts_[host];
  watch.lookups.insert(id);
  dirty_hosts_.insert(host);
  if (watch.one_family_until > now) return true;
  for (const RrType type : {RrType::a, RrType::aaaa})
    if (!has_address(host, type)) start(now, host, type, kResolveTries);
  return true;
}

bool Querier::has_address(const dns::Name& host, RrType type) const {
  const auto found = cache_.find(host, type);
  return std::any_of(found.begin(), found.end(),
                     [](const CachedRecord* record) { return !record->leaving; });
}

void Querier::cancel_lookup(std::uint64_t id) {
  const auto found = lookups_.find(id);
  if (found == lookups_.end()) return;
  const dns::Name host = found->second.host;
  lookups_.erase(found);
  const auto watch = hosts_.find(host);
  watch->second.lookups.erase(id);
  if (!watch->second.lookups.empty() || !watch->second.instances.empty()) return;
  for (const RrType type : {RrType::a, RrType::aaaa})
    forget_question(host, type);
  // Addresses that came stay for their time: the next lookup of the same name is likely.
  if (cache_.find(host, RrType::a).empty() && cache_.find(host, RrType::aaaa).empty())
    hosts_.erase(watch);
}

void Querier::settle_lookups(TimePoint now) {
  std::vector<std::uint64_t> done;
  for (const dns::Name& host : std::exchange(dirty_hosts_, {})) {
    const auto watch = hosts_.find(host);
    if (watch == hosts_.end()) continue;
    // A and AAAA may come in datagrams of their own; half of the answer would be "no data" to who
    // asked for the other half.
    const bool a = has_address(host, RrType::a), aaaa = has_address(host, RrType::aaaa);
    const std::set<std::uint64_t>& waiting = watch->second.lookups;
    if ((a && aaaa) || ((a || aaaa) && watch->second.one_family_until > now)) {
      done.insert(done.end(), waiting.begin(), waiting.end());
    } else if (a || aaaa) {
      for (const std::uint64_t id : waiting) {
        Lookup& lookup = lookups_.at(id);
        lookup.deadline = std::min(lookup.deadline, now + kOtherFamilyWait);
      }
    }
  }
  for (const auto& [id, lookup] : lookups_)
    if (lookup.deadline <= now) done.push_back(id);
  for (const std::uint64_t id : done) {
    const auto lookup = lookups_.find(id);
    if (lookup == lookups_.end()) continue;
    TimePoint last{};
    auto addresses = addresses_of(lookup->second.host, &last);
    only_once(addresses);
    const bool late = lookup->second.deadline <= now;
    if (addresses.empty() && !late) continue;
    const dns::Name& host = lookup->second.host;
    const bool both = has_address(host, RrType::a) && has_address(host, RrType::aaaa);
    if (late && !addresses.empty() && !both)
      hosts_.at(host).one_family_until = now + kOtherFamilyMissing;
    const Duration ttl = addresses.empty() ? Duration::zero() : last - now;
    events_.push_back(HostAnswer{id, std::move(addresses), ttl});
    cancel_lookup(id);
  }
}

}  // namespace outrider::mdns
