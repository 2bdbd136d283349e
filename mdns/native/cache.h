// SPDX-License-Identifier: Apache-2.0
// Records of other hosts, until their TTL expires: RFC 6762 §10. Kept per link; bounded in records,
// in octets and per name. Only the querier puts records here, and only those that it wants.
//
// A record with a goodbye (TTL 0) stays for one second, marked as `leaving`. If its owner
// contradicts the goodbye in that time, others may send forged ones: for a while, a goodbye only
// makes the record expire in kDoubtedGrace, and it is asked for.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "dns/wire/record.h"

namespace outrider::mdns {

struct CachedRecord {
  const dns::Name* owner = nullptr;  // as first heard; lives as long as the record; null: no record
  dns::RrType type = dns::RrType::ptr;
  std::uint32_t link = 0;
  dns::Ttl ttl = 0;
  std::uint32_t doubted_until = 0;  // goodbyes are, until this whole second
  TimePoint received{};
  TimePoint expires{};
  bool leaving = false;         // had a goodbye: no longer valid, kept for one second
  bool taken_back = false;      // had a goodbye that is doubted: still valid
  bool from_here = false;       // the sender is on this host
  std::uint8_t refreshes = 0;   // steps of kRefreshPercent gone by
  std::uint8_t unanswered = 0;  // §10.5
  TimePoint unanswered_since{};
  std::uint32_t cell = 0;          // private to the cache
  IpAddress source;                // of the latest packet that had it; see Cache::set_source()
  std::uint32_t source_until = 0;  // in whole seconds, as is doubted_until: there is room for that
  std::string rdata;               // uncompressed wire form

  /// Of PTR and SRV. RDATA in the cache always parses.
  dns::Name target() const;
  dns::SrvData srv() const;
  IpAddress address() const;  // link-local ones with the link as scope
  dns::Ttl left(TimePoint now) const;
};

class Cache {
 public:
  enum class Put : std::uint8_t {
    refused,  // a type that is not kept, damaged, too large, or no room
    added,
    refreshed,
    goodbye,  // marked as leaving
    doubted,  // a goodbye that its owner may contradict
    unknown,  // a goodbye for a record that is not cached
  };
  enum class Due : std::uint8_t { refresh, expired };
  struct Event {
    Due due = Due::expired;
    CachedRecord record;  // a copy: the original may be gone
    dns::Name owner;
  };

  explicit Cache(Random& random)
      : random_(random), name_hash_(random.u64()), entries_(0, name_hash_) {}
  /// For tables beside this one whose keys come from the network as well.
  const dns::NameHash& name_hash() const { return name_hash_; }

  Put put(TimePoint now, std::uint32_t link, const dns::Record& record, const IpAddress& source,
          bool from_here);
  /// §10.2: records of this name and type on the link that are older than a second expire in one.
  void flush_older(TimePoint now, std::uint32_t link, const dns::Name& name, dns::RrType type);

  /// In no particular order. The pointers are valid until the cache is changed.
  std::vector<const CachedRecord*> find(const dns::Name& name, dns::RrType type) const;
  std::vector<CachedRecord*> find(const dns::Name& name, dns::RrType type);
  /// Whether there is a record of this name and type that is not leaving.
  bool has_live(const dns::Name& name, dns::RrType type) const;
  /// Whether there is any record of this name and type, also one that is leaving.
  bool has_any(const dns::Name& name, dns::RrType type) const;
  /// PTR records that point to the name.
  std::vector<const CachedRecord*> find_pointers(const dns::Name& target) const;
  /// With the remaining TTL, as a known answer of a query.
  static dns::Record to_record(const CachedRecord& record, TimePoint now);

  /// Refreshes and expiries that are due, at most `most` of them.
  std::vector<Event> advance(TimePoint now, std::size_t most);
  std::optional<TimePoint> next_due() const;

  // These take a record that is in the cache.
  /// Removes it; advance() does not report it.
  void erase(const CachedRecord& record);
  /// Makes it expire at `at` or earlier.
  void shorten(const CachedRecord& record, TimePoint at);
  /// Skips the next refresh if it is due within `ahead`: another host has asked.
  void skip_refresh(const CachedRecord& record, TimePoint now, Duration ahead);
  std::vector<Event> drop_link(std::uint32_t link);
  /// The source of the most records: it is evicted from first, so a flooding source evicts itself.
  /// Nothing if it has fewer than kLoudSourceMin: then there is no single source to blame.
  std::optional<IpAddress> loudest_source() const;
  std::vector<Event> drop_some_of(const IpAddress& source, std::size_t most);

  /// A record of the largest size may not fit.
  bool is_full() const;
  std::size_t size() const { return used_; }
  std::size_t bytes() const { return bytes_; }

 private:
  using Index = std::uint32_t;
  struct Entry {
    std::vector<Index> records;
    std::vector<Index> pointers;  // PTR records elsewhere whose RDATA is this name
  };
  struct Cell {
    CachedRecord record;
    TimePoint event{};
    bool used() const { return record.owner != nullptr; }
  };
  using Entries = std::unordered_map<dns::Name, Entry, dns::NameHash>;

  void drop_if_empty(const dns::Name& name);
  /// The record with the same name, type, link and RDATA; counts the records of that set.
  std::optional<Index> find_same(const dns::Record& record, std::uint32_t link,
                                 const std::string& rdata, std::size_t* count) const;
  Put take_back(TimePoint now, Index index);
  void set_source(TimePoint now, CachedRecord& known, const IpAddress& source);
  void refresh(TimePoint now, Index index, const dns::Record& record, const IpAddress& source,
               bool from_here, std::string rdata);
  void count_source(const IpAddress& source, int change);
  Index take_cell();
  void compact();
  void release(Index index);
  void reschedule(Index index, TimePoint now);
  TimePoint next_event(const CachedRecord& record, TimePoint now);
  std::size_t most_per_name(dns::RrType type) const;

  Random& random_;
  dns::NameHash name_hash_;
  Entries entries_;
  std::deque<Cell> cells_;  // grows without a copy, and without room for twice as many
  std::vector<Index> free_;
  std::set<std::pair<TimePoint, Index>> schedule_;
  std::map<IpAddress, std::size_t> by_source_;
  std::set<IpAddress> loud_;  // those with at least kLoudSourceMin
  std::size_t used_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace outrider::mdns
