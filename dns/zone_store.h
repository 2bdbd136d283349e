// SPDX-License-Identifier: Apache-2.0
// The names of one local zone, hashed and compact: one block of memory a name, holding its records
// as they go on the wire. Names are relative to the origin (wire form in lower case, without the
// origin and the root), so that a query finds its node by a slice of its own bytes.
//
// The table is cut into kShards by the hash. A shard grows by itself, so that no change of one name
// ever costs a rebuild of the whole: at 100 000 names a shard has some 400.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "dns/limits.h"
#include "dns/wire/name.h"
#include "dns/wire/types.h"

namespace outrider::dns {

struct StoredRecord {
  std::uint32_t expires;  // in ticks of the monotonic clock; kNever: no bound
  std::uint32_t offset;   // of the RDATA from the first one's
  RrType type;
  std::uint16_t size;  // of the RDATA
  std::uint16_t weight;
  std::uint8_t rank;
  bool ends_in_origin;  // RDATA is a name that may be compressed (RFC 1035 §3.3) and is in the zone

  static constexpr std::uint32_t kNever = 0xffff'ffffU;
  static constexpr Duration kTick = std::chrono::milliseconds(100);
};

/// The head of a block; records, name, why and RDATA follow it in this order.
class ZoneNode {
 public:
  struct Free {
    void operator()(ZoneNode* node) const noexcept;
  };
  using Owner = std::unique_ptr<ZoneNode, Free>;

  static Owner make(Bytes name, std::span<const StoredRecord> records, std::string_view why,
                    Bytes rdata);

  std::span<const StoredRecord> records() const {
    return {reinterpret_cast<const StoredRecord*>(this + 1), record_count_};
  }
  /// Those of one type, which are adjacent, by rank.
  std::span<const StoredRecord> records(RrType type) const;
  Bytes name() const { return {tail(), name_size_}; }
  std::string_view why() const { return as_text({tail() + name_size_, why_size_}); }
  Bytes rdata(const StoredRecord& record) const {
    return {tail() + name_size_ + why_size_ + record.offset, record.size};
  }

  /// True if a client would see the same: records in any order, why and stale mark.
  bool same_content(const ZoneNode& other) const;

  std::uint32_t below = 0;  // names directly below this one
  bool set = false;         // false: it exists only because of names below it (RFC 8020)
  bool stale = false;
  /// Queries for this name. A node that replaces this one takes them over.
  struct Asked {
    std::uint32_t times = 0;  // wraps
    std::uint32_t last = 0;   // the tick of the last one (StoredRecord::kTick)
    IpAddress by;             // its client
  };
  mutable Asked asked;

 private:
  ZoneNode() = default;
  std::uint64_t records_digest() const;
  const std::uint8_t* tail() const {
    return reinterpret_cast<const std::uint8_t*>(this + 1) + record_count_ * sizeof(StoredRecord);
  }

  std::uint8_t name_size_ = 0;
  std::uint8_t why_size_ = 0;
  std::uint32_t record_count_ = 0;
};

class ZoneStore {
 public:
  explicit ZoneStore(std::uint64_t seed) : seed_(seed), shards_(kShards) {}
  ~ZoneStore();
  ZoneStore(const ZoneStore&) = delete;

  std::uint64_t hash(Bytes name) const;
  const ZoneNode* find(Bytes name, std::uint64_t hash) const;
  const ZoneNode* find(Bytes name) const { return find(name, hash(name)); }
  /// Brings the slot of a hash into the processor's cache, for a look-up a little later.
  void prefetch(std::uint64_t hash) const;
  /// The same for the block behind the slot.
  void prefetch_node(std::uint64_t hash) const;

  /// Puts a set node in its place; it takes over the names below a former one. Returns the former
  /// one, or nothing where the name did not exist.
  ZoneNode::Owner put(ZoneNode::Owner node);
  /// The name is no longer set. It goes, and the names above it that nothing else holds, unless
  /// there are names below it. False if it was not set.
  bool erase(Bytes name);

  std::size_t set_count() const { return set_count_; }

 private:
  static constexpr std::size_t kShards = 256;
  struct Slot {
    std::uint64_t hash = 0;
    ZoneNode* node = nullptr;
  };
  /// Open addressing with linear probing; at most three quarters full.
  struct Shard {
    std::unique_ptr<Slot[]> slots;
    std::uint32_t capacity = 0;  // a power of two, or zero
    std::uint32_t used = 0;
  };

  static Shard& grow(Shard& shard);
  Slot* find_slot(Bytes name, std::uint64_t hash);
  void insert(ZoneNode* node, std::uint64_t hash);
  void remove(Bytes name, std::uint64_t hash);
  void hold_parent(Bytes name);
  void release_parent(Bytes name);

  std::uint64_t seed_;
  std::vector<Shard> shards_;
  std::size_t set_count_ = 0;
};

}  // namespace outrider::dns
