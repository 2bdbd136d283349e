// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/host_lookups.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {

using dns::RrType;

void HostAddresses::drop_duplicates() {
  const auto same = [](const auto& a, const auto& b) { return a.address == b.address; };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
}

HostAddresses addresses_of(const Cache& cache, const dns::Name& host) {
  HostAddresses out;
  for (const RrType type : {RrType::a, RrType::aaaa}) {
    for (const CachedRecord* record : cache.find(host, type)) {
      if (record->leaving) continue;
      out.all.push_back({record->address(), record->link});
      out.expire = std::max(out.expire, record->expires);
    }
  }
  const auto rank = [](const SightedAddress& a) {
    return std::tuple(a.address.is_v6(), a.address.is_loopback(), a.address.is_link_local(),
                      a.address, a.interface);
  };
  std::sort(out.all.begin(), out.all.end(),
            [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return out;
}

bool HostLookups::start(TimePoint now, std::uint64_t id, const dns::Name& host,
                        TimePoint deadline) {
  if (lookups_.size() >= kHostWaitersMax) return false;
  if (waiting_hosts_ >= kHostLookupsMax && !waits_for(host)) return false;
  lookups_.emplace(id, Lookup{host, deadline});
  Host& known = hosts_[host];
  if (known.lookups.empty()) ++waiting_hosts_;
  known.lookups.insert(id);
  dirty_.insert(host);
  if (known.one_family_until > now) return true;
  for (const RrType type : {RrType::a, RrType::aaaa})
    if (!has(host, type)) questions_.start(now, host, type, kResolveTries);
  return true;
}

void HostLookups::cancel(std::uint64_t id) {
  const auto found = lookups_.find(id);
  if (found == lookups_.end()) return;
  const dns::Name host = found->second.host;
  lookups_.erase(found);
  const auto known = hosts_.find(host);
  known->second.lookups.erase(id);
  if (known->second.lookups.empty()) --waiting_hosts_;
  if (!known->second.lookups.empty() || is_watched_(host)) return;
  questions_.forget_addresses(host);
  // Addresses stay in the cache for their time: another lookup of the name is likely.
  if (cache_.find(host, RrType::a).empty() && cache_.find(host, RrType::aaaa).empty())
    hosts_.erase(known);
}

bool HostLookups::waits_for(const dns::Name& host) const {
  const auto known = hosts_.find(host);
  return known != hosts_.end() && !known->second.lookups.empty();
}

void HostLookups::on_address(const dns::Name& host) {
  const auto known = hosts_.find(host);
  if (known == hosts_.end()) return;
  if (!known->second.lookups.empty()) {
    dirty_.insert(host);
  } else if (!is_watched_(host) && cache_.find(host, RrType::a).empty() &&
             cache_.find(host, RrType::aaaa).empty()) {
    hosts_.erase(known);
  }
}

/// Appends the lookups of the host that are answered. A and AAAA may come in separate datagrams:
/// with one of them alone, a caller that wants the other would take it for missing.
void HostLookups::settle_host(TimePoint now, const dns::Name& host,
                              std::vector<std::uint64_t>& done) {
  const auto known = hosts_.find(host);
  if (known == hosts_.end()) return;
  const bool a = has(host, RrType::a), aaaa = has(host, RrType::aaaa);
  const std::set<std::uint64_t>& waiting = known->second.lookups;
  if ((a && aaaa) || ((a || aaaa) && known->second.one_family_until > now)) {
    done.insert(done.end(), waiting.begin(), waiting.end());
  } else if (a || aaaa) {
    for (const std::uint64_t id : waiting) {
      Lookup& lookup = lookups_.at(id);
      lookup.deadline = std::min(lookup.deadline, now + kOtherFamilyWait);
    }
  }
}

void HostLookups::answer(TimePoint now, std::uint64_t id) {
  const auto lookup = lookups_.find(id);
  if (lookup == lookups_.end()) return;
  const dns::Name& host = lookup->second.host;
  HostAddresses addresses = addresses_of(cache_, host);
  addresses.drop_duplicates();
  const bool late = lookup->second.deadline <= now;
  if (addresses.all.empty() && !late) return;
  const bool both = has(host, RrType::a) && has(host, RrType::aaaa);
  if (late && !addresses.all.empty() && !both)
    hosts_.at(host).one_family_until = now + kOtherFamilyMissing;
  const Duration ttl = addresses.all.empty() ? Duration::zero() : addresses.expire - now;
  answers_.push_back({id, std::move(addresses.all), ttl});
  cancel(id);
}

void HostLookups::settle(TimePoint now) {
  std::vector<std::uint64_t> done;
  for (const dns::Name& host : std::exchange(dirty_, {}))
    settle_host(now, host, done);
  for (const auto& [id, lookup] : lookups_)
    if (lookup.deadline <= now) done.push_back(id);
  for (const std::uint64_t id : done)
    answer(now, id);
}

std::optional<TimePoint> HostLookups::next_due() const {
  if (!dirty_.empty()) return TimePoint{};
  std::optional<TimePoint> due;
  for (const auto& [id, lookup] : lookups_)
    if (!due || lookup.deadline < *due) due = lookup.deadline;
  return due;
}

}  // namespace outrider::mdns
