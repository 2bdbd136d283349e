// SPDX-License-Identifier: Apache-2.0
// Leases: what ends together unless its owner keeps it alive. Pure.
//
// The number of a lease must never occur twice, over restarts too: a client that still keeps its
// old lease alive would otherwise keep another client's, and believe that its own is well.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace outrider::doors::etcd {

inline constexpr std::size_t kLeasesMax = 16'384;
/// Seconds: shorter TTLs are raised, longer ones refused, as etcd does both.
inline constexpr std::int64_t kTtlMin = 2;
inline constexpr std::int64_t kTtlMax = 9'000'000'000;

struct Lease {
  std::int64_t ttl = 0;  // seconds, as granted
  TimePoint ends;
  std::set<std::string, std::less<>> keys;
};

class Leases {
 public:
  /// A number that no lease has: 63 bits, never 0.
  std::int64_t pick_id(Random& random) const;
  /// The id is new; the ttl is at most kTtlMax. Returns the lease.
  const Lease& grant(std::int64_t id, std::int64_t ttl, TimePoint now);
  /// Null if there is none.
  const Lease* find(std::int64_t id) const;
  /// False if there is no such lease.
  bool renew(std::int64_t id, TimePoint now);
  /// Every lease begins again.
  void renew_all(TimePoint now);
  /// Its keys belong to none then.
  void end(std::int64_t id);
  /// The key belongs to this lease alone; 0: to none.
  void attach(const std::string& key, std::int64_t id);
  std::int64_t lease_of(std::string_view key) const;

  std::vector<std::int64_t> ended(TimePoint now) const;
  std::optional<TimePoint> next_end() const;
  const std::map<std::int64_t, Lease>& all() const { return leases_; }

 private:
  std::map<std::int64_t, Lease> leases_;
  std::map<std::string, std::int64_t, std::less<>> of_key_;
};

}  // namespace outrider::doors::etcd
