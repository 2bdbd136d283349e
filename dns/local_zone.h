// SPDX-License-Identifier: Apache-2.0
// The names that we answer ourselves. One zone per configured domain. The zone knows names, records
// and order. It does not know services or health: the agent's projection decides what each name
// holds.
//
// A change of one name costs that name alone, whatever the size of the zone. Names above a name
// exist by themselves (empty non-terminals, RFC 8020). An answer allocates nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/callback.h"
#include "base/time.h"
#include "dns/wire/record.h"

namespace outrider::dns {

struct ZoneRecord {
  RrType type = RrType::a;
  Rdata data;
  /// Lower ranks come first: 0 this host, 1 same subnet, 2 the rest; +8 when only warning.
  std::uint8_t rank = 0;
  /// Within a rank the first place is drawn by weight; 0 counts as 1.
  std::uint16_t weight = 1;
  /// The TTL is cut so that no client keeps the record longer than this; max() means no bound.
  TimePoint not_after = TimePoint::max();

  bool operator==(const ZoneRecord&) const = default;
};

struct ZoneOptions {
  Name origin;  // a label of any length fits before it
  Ttl ttl = 5;
  Ttl negative_ttl = 2;     // SOA TTL and MINIMUM (RFC 2308 §5)
  std::size_t answers = 8;  // A, AAAA, HTTPS or SVCB records in one answer; 0: all
  /// The addresses of `ns.ORIGIN`, the zone's name server, while that name is not set.
  std::vector<IpAddress> name_server;
  /// Unpredictable in production, so that peers cannot choose names that collide.
  std::uint64_t hash_seed = 0;
};

class ZoneStore;

class LocalZone {
 public:
  explicit LocalZone(const ZoneOptions& options);
  ~LocalZone();
  LocalZone(LocalZone&&) noexcept;

  const Name& origin() const;

  /// Replaces all records of one name under the origin. With no records the name is known but has
  /// nothing (NODATA); `why` then goes into the extended error text (RFC 8914), at most 200 octets.
  /// `stale` marks answers with EDE 3. Equal records become one, with the best rank and the sum of
  /// the weights. Counts as one change of the serial if the answers differ from before; ranks,
  /// weights and lifetimes are no difference.
  void set(const Name& owner, std::vector<ZoneRecord> records, std::string why = {},
           bool stale = false);
  /// The name is unknown from now on, unless there are names below it.
  void erase(const Name& owner);

  /// Names that were set, without the origin and without names that exist only because of others.
  std::size_t name_count() const;
  /// Queries for a name since it was first set, when the last one came, to a tenth of a second, and
  /// from which client.
  struct Asked {
    std::uint32_t times = 0;
    TimePoint last;
    IpAddress by;
  };
  Asked asked(const Name& owner) const;
  std::uint32_t serial() const;

  const ZoneOptions& options() const;
  const ZoneStore& store() const;
  /// Calls from within set() when a name comes that was not set before, or gets its first records;
  /// one at a time.
  void on_answerable(Callback<void()> callback);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::dns
