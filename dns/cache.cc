// SPDX-License-Identifier: Apache-2.0
#include "dns/cache.h"

#include "base/hash.h"

namespace outrider::dns {

CacheKey::CacheKey(const Query& query) {
  ByteWriter out(bytes_);
  out.put(query.name());
  out.u16(static_cast<std::uint16_t>(query.type));
  out.u16(static_cast<std::uint16_t>(query.rr_class));
  const bool dnssec_ok = query.has_edns && query.edns.dnssec_ok;
  out.u8(static_cast<std::uint8_t>((dnssec_ok ? 1U : 0U) |
                                   (query.header.flags.checking_disabled ? 2U : 0U)));
  size_ = out.size();
}

std::size_t Cache::Hash::operator()(std::string_view key) const {
  return seeded_hash(as_bytes(key), seed);
}

Cache::Cache(std::size_t entries, std::uint64_t seed) : entries_(entries), index_(0, Hash{seed}) {}

Cache::Found Cache::find(const CacheKey& key, TimePoint now) {
  const auto found = index_.find(as_text(key.bytes()));
  if (found == index_.end()) return {};
  Entry& entry = *found->second;
  const auto age = std::chrono::floor<std::chrono::seconds>(now - entry.stored);
  const auto lifetime = std::chrono::seconds(entry.answer.lifetime());
  if (age >= lifetime + kStaleMax) {
    erase(found->second);
    return {};
  }
  order_.splice(order_.begin(), order_, found->second);
  return {&entry.answer,
          {static_cast<std::uint32_t>(age.count()), age >= lifetime},
          entry.recheck > now};
}

void Cache::put(const CacheKey& key, UpstreamAnswer answer, TimePoint now) {
  const auto found = index_.find(as_text(key.bytes()));
  if (found != index_.end()) erase(found->second);
  if (answer.lifetime() == 0 || answer.weight() > kCachedAnswerBytesMax || entries_ == 0) return;
  weight_ += answer.weight() + key.bytes().size();
  order_.push_front({{key.bytes().begin(), key.bytes().end()}, std::move(answer), now, {}});
  index_.emplace(as_text(order_.front().key), order_.begin());
  evict();
}

void Cache::note_refresh_failed(const CacheKey& key, TimePoint now) {
  const auto found = index_.find(as_text(key.bytes()));
  if (found != index_.end()) found->second->recheck = now + kStaleRecheck;
}

void Cache::erase(std::list<Entry>::iterator entry) {
  weight_ -= entry->answer.weight() + entry->key.size();
  index_.erase(as_text(entry->key));
  order_.erase(entry);
}

void Cache::evict() {
  while (order_.size() > entries_ || weight_ > kCacheBytesMax)
    erase(std::prev(order_.end()));
}

void Cache::set_entries(std::size_t entries) {
  entries_ = entries;
  evict();
}

void Cache::clear() {
  index_.clear();
  order_.clear();
  weight_ = 0;
}

}  // namespace outrider::dns
