// SPDX-License-Identifier: Apache-2.0
// What a local zone answers to a query. The RCODE depends on the name alone, never on the type: a
// resolver that gets NXDOMAIN for AAAA drops the A answer with it (RFC 2308 §2.2, RFC 8020). AXFR
// and IXFR never come here: they ask for an operation, which is refused for all names alike.
#pragma once

#include <memory>

#include "base/random.h"
#include "base/time.h"
#include "dns/local_zone.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/zone_store.h"

namespace outrider::dns {

/// TTL of answers whose source cannot be reached: they may be wrong, and are to be asked for soon.
inline constexpr Ttl kStaleZoneTtl = 5;

enum class ZoneOutcome : std::uint8_t { answer, nodata, unknown };

class ZoneAnswerer {
 public:
  /// `seed` decides the order of equal records; it does not have to be secret.
  explicit ZoneAnswerer(std::uint64_t seed);

  /// The part of the name before the origin; nullopt if the name is outside the zone.
  static std::optional<Bytes> relative(const LocalZone& zone, const Query& query);

  /// Fills the reply, SOA of a negative answer included; for an unknown name that is NXDOMAIN.
  /// `relative` comes from relative(), `node` from the zone's store for it.
  ZoneOutcome write(const LocalZone& zone, const Query& query, Bytes relative, const ZoneNode* node,
                    TimePoint now, Reply& reply);

 private:
  struct Target {
    NamePlace place;
    Bytes name;
  };

  std::size_t choose(std::span<const StoredRecord> records, std::size_t limit);
  void write_set(const LocalZone& zone, const ZoneNode& node, RrType type, TimePoint now,
                 Reply& reply);
  Ttl set_ttl(const LocalZone& zone, const ZoneNode& node, std::span<const StoredRecord> records,
              std::size_t count, TimePoint now) const;
  void remember_target(NamePlace place, Bytes name);
  void write_additional(const LocalZone& zone, TimePoint now, Reply& reply);

  SeededRandom random_;
  std::unique_ptr<std::uint16_t[]> order_;  // chosen records of the set at hand
  Target targets_[kAdditionalTargetsMax];
  std::size_t target_count_ = 0;
};

}  // namespace outrider::dns
