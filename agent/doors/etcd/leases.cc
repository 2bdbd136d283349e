// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/leases.h"

#include <algorithm>

#include "base/assert.h"

namespace outrider::doors::etcd {
namespace {

/// Durations count nanoseconds: what is longer than 200 years never ends.
TimePoint end_of(std::int64_t ttl, TimePoint now) {
  constexpr std::int64_t kForEver = std::int64_t{200} * 365 * 24 * 3600;
  if (ttl >= kForEver) return TimePoint::max();
  return now + std::chrono::seconds(ttl);
}

}  // namespace

std::int64_t Leases::pick_id(Random& random) const {
  std::int64_t id = 0;
  while (id == 0 || leases_.contains(id))
    id = static_cast<std::int64_t>(random.u64() >> 1);
  return id;
}

const Lease& Leases::grant(std::int64_t id, std::int64_t ttl, TimePoint now) {
  OUTRIDER_ASSERT(id != 0 && ttl <= kTtlMax && !leases_.contains(id));
  Lease& lease = leases_[id];
  lease.ttl = std::max(ttl, kTtlMin);
  lease.ends = end_of(lease.ttl, now);
  return lease;
}

const Lease* Leases::find(std::int64_t id) const {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

bool Leases::renew(std::int64_t id, TimePoint now) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return false;
  found->second.ends = end_of(found->second.ttl, now);
  return true;
}

void Leases::renew_all(TimePoint now) {
  for (auto& [id, lease] : leases_)
    lease.ends = end_of(lease.ttl, now);
}

void Leases::end(std::int64_t id) {
  const auto found = leases_.find(id);
  if (found == leases_.end()) return;
  for (const std::string& key : found->second.keys)
    of_key_.erase(key);
  leases_.erase(found);
}

void Leases::attach(const std::string& key, std::int64_t id) {
  const auto known = of_key_.find(key);
  if (known != of_key_.end()) {
    if (known->second == id) return;
    leases_[known->second].keys.erase(key);
    of_key_.erase(known);
  }
  const auto lease = leases_.find(id);
  if (lease == leases_.end()) return;
  lease->second.keys.insert(key);
  of_key_[key] = id;
}

std::int64_t Leases::lease_of(std::string_view key) const {
  const auto found = of_key_.find(key);
  return found == of_key_.end() ? 0 : found->second;
}

std::vector<std::int64_t> Leases::ended(TimePoint now) const {
  std::vector<std::int64_t> ids;
  for (const auto& [id, lease] : leases_)
    if (lease.ends <= now) ids.push_back(id);
  return ids;
}

std::optional<TimePoint> Leases::next_end() const {
  std::optional<TimePoint> next;
  for (const auto& [id, lease] : leases_)
    if (lease.ends != TimePoint::max() && (!next || lease.ends < *next)) next = lease.ends;
  return next;
}

}  // namespace outrider::doors::etcd
