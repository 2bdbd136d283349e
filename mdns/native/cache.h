// SPDX-License-Identifier: Apache-2.0
// What others have said, for as long as they said: RFC 6762 §10. Kept per link; bounded in records,
// in octets and per name. Only the querier puts records here, and only those that it wants.
//
// A record that was taken back (TTL 0) or flushed is not found any more or only until its second
// is over, and can be told from a live one by `leaving`.
#pragma once

#include <memory>
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
  const dns::Name* owner = nullptr;  // as first heard; lives as long as the record
  dns::RrType type = dns::RrType::ptr;
  std::uint32_t link = 0;
  dns::Ttl ttl = 0;
  TimePoint received{};
  TimePoint expires{};
  bool leaving = false;         // a goodbye was heard: counts no more, is kept for its second
  bool from_here = false;       // the speaker is on this host
  std::uint8_t refreshes = 0;   // steps of kRefreshPercent gone by
  std::uint8_t unanswered = 0;  // §10.5
  TimePoint unanswered_since{};
  std::uint32_t cell = 0;  // the cache's own: where it is
  IpAddress source;        // of the last packet that had it
  std::string rdata;       // uncompressed wire form

  /// Of PTR and SRV. What is in the cache parses.
  dns::Name target() const;
  dns::SrvData srv() const;
  std::vector<std::string> txt() const;
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
    unknown,  // a goodbye for what is not here
  };
  enum class Due : std::uint8_t { refresh, expired };
  struct Event {
    Due due = Due::expired;
    CachedRecord record;  // a copy: it may be gone
    dns::Name owner;
  };

  explicit Cache(Random& random) : random_(random) {}

  Put put(TimePoint now, std::uint32_t link, const dns::Record& record, const IpAddress& source,
          bool from_here);
  /// §10.2: everything of this name and type on the link that is older than a second ends in one.
  void flush_older(TimePoint now, std::uint32_t link, const dns::Name& name, dns::RrType type);

  /// In no particular order. The pointers hold until the cache is changed.
  std::vector<const CachedRecord*> find(const dns::Name& name, dns::RrType type) const;
  std::vector<CachedRecord*> find(const dns::Name& name, dns::RrType type);
  /// Whether there is a record of this name and type that is not leaving.
  bool has_live(const dns::Name& name, dns::RrType type) const;
  /// PTR records that point to the name.
  std::vector<const CachedRecord*> find_pointers(const dns::Name& target) const;
  /// As they stand: with the TTL that is left, to be put into a query.
  static dns::Record to_record(const CachedRecord& record, TimePoint now);

  /// Refreshes and ends that are due; at most `most` at a time.
  std::vector<Event> advance(TimePoint now, std::size_t most);
  std::optional<TimePoint> next_due() const;

  // Of a record that is in the cache now:
  /// Ends now; not reported by advance().
  void erase(const CachedRecord& record);
  /// Ends no later than `at`.
  void shorten(const CachedRecord& record, TimePoint at);
  /// Passes over the next refresh if it is due within `ahead`: somebody else has asked.
  void skip_refresh(const CachedRecord& record, TimePoint now, Duration ahead);
  std::vector<Event> drop_link(std::uint32_t link);
  /// Of the records of one name and type, all of whoever has said most: who floods pays.
  std::optional<IpAddress> loudest_source() const;
  std::vector<Event> drop_some_of(const IpAddress& source, std::size_t most);

  std::size_t size() const { return used_; }
  std::size_t bytes() const { return bytes_; }

 private:
  using Index = std::uint32_t;
  struct Entry {
    dns::Name owner;
    std::vector<Index> records;
    std::vector<Index> pointers;  // PTR records elsewhere whose RDATA is this name
  };
  struct Cell {
    CachedRecord record;
    TimePoint event{};
    bool used = false;
  };

  Entry& entry_of(const dns::Name& name);
  void drop_if_empty(const dns::Name& name);
  /// The one with the same name, type, link and RDATA; counts those of the same set.
  std::optional<Index> find_same(const dns::Record& record, std::uint32_t link,
                                 const std::string& rdata, std::size_t* count) const;
  void refresh(TimePoint now, Index index, const dns::Record& record, const IpAddress& source,
               bool from_here, std::string rdata);
  void count_source(const IpAddress& source, int change);
  Index take_cell();
  void release(Index index);
  void reschedule(Index index, TimePoint now);
  TimePoint next_event(const CachedRecord& record, TimePoint now);
  std::size_t most_per_name(dns::RrType type) const;

  Random& random_;
  std::unordered_map<dns::Name, std::unique_ptr<Entry>, dns::NameHash> entries_;
  std::vector<Cell> cells_;
  std::vector<Index> free_;
  std::set<std::pair<TimePoint, Index>> schedule_;
  std::unordered_map<IpAddress, std::size_t, AddressHash> by_source_;
  std::size_t used_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace outrider::mdns
