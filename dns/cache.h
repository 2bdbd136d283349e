// SPDX-License-Identifier: Apache-2.0
// Answers of upstream servers, kept as bytes and aged as they are given out (RFC 1035 §7.4, RFC
// 2308, RFC 8767). Bounded by entries and by octets; the least recently used one is evicted first.
// It reads no clock.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "dns/query.h"
#include "dns/upstream_answer.h"

namespace outrider::dns {

/// What makes two questions the same to an upstream: name (case-blind), type, class, DO, CD.
class CacheKey {
 public:
  explicit CacheKey(const Query& query);
  Bytes bytes() const { return {bytes_, size_}; }

 private:
  std::size_t size_;
  std::uint8_t bytes_[kNameBytesMax + 5];
};

class Cache {
 public:
  Cache(std::size_t entries, std::uint64_t seed);

  struct Found {
    const UpstreamAnswer* answer = nullptr;  // until the next put() or clear()
    UpstreamAnswer::Aging aging;             // stale: it has outlived its TTL
    bool refresh_failed = false;             // less than kStaleRecheck ago
  };
  /// Fresh and stale answers alike; a find is a use.
  Found find(const CacheKey& key, TimePoint now);
  /// Answers without lifetime are not kept.
  void put(const CacheKey& key, UpstreamAnswer answer, TimePoint now);
  /// The answer, if it is here, was asked for again in vain.
  void note_refresh_failed(const CacheKey& key, TimePoint now);
  void clear();
  /// Keeps so many from now on.
  void set_entries(std::size_t entries);

  std::size_t size() const { return order_.size(); }
  std::size_t weight() const { return weight_; }

 private:
  struct Entry {
    std::vector<std::uint8_t> key;
    UpstreamAnswer answer;
    TimePoint stored;
    TimePoint recheck{};  // not refreshed before, because that has just failed
  };
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(std::string_view key) const;
  };

  void evict();
  void erase(std::list<Entry>::iterator entry);

  std::size_t entries_;
  std::size_t weight_ = 0;
  std::list<Entry> order_;  // the last used first
  std::unordered_map<std::string_view, std::list<Entry>::iterator, Hash> index_;
};

}  // namespace outrider::dns
