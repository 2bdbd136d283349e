// SPDX-License-Identifier: Apache-2.0
#include "dns/zone_store.h"

#include <algorithm>
#include <functional>
#include <new>

#include "base/hash.h"
#include "base/utf8.h"

namespace outrider::dns {
namespace {

Bytes parent_of(Bytes name) {
  return name.subspan(name[0] + 1U);
}

void copy(std::uint8_t*& to, Bytes bytes) {
  to = std::ranges::copy(bytes, to).out;
}

}  // namespace

ZoneNode::Owner ZoneNode::make(Bytes name, std::span<const StoredRecord> records,
                               std::string_view why, Bytes rdata) {
  static_assert(sizeof(StoredRecord) == 16 && alignof(ZoneNode) >= alignof(StoredRecord));
  OUTRIDER_ASSERT(name.size() < kNameBytesMax && records.size() <= kRecordsPerNameMax);
  why = cut_text(why, kWhyBytesMax);
  void* const block = ::operator new(sizeof(ZoneNode) + records.size_bytes() + name.size() +
                                     why.size() + rdata.size());
  Owner node(new (block) ZoneNode);
  node->record_count_ = static_cast<std::uint32_t>(records.size());
  node->name_size_ = static_cast<std::uint8_t>(name.size());
  node->why_size_ = static_cast<std::uint8_t>(why.size());
  std::ranges::uninitialized_copy(
      records, std::span(reinterpret_cast<StoredRecord*>(node.get() + 1), records.size()));
  std::uint8_t* to = const_cast<std::uint8_t*>(node->tail());
  copy(to, name);
  copy(to, as_bytes(why));
  copy(to, rdata);
  return node;
}

void ZoneNode::Free::operator()(ZoneNode* node) const noexcept {
  ::operator delete(node);
}

std::span<const StoredRecord> ZoneNode::records(RrType type) const {
  const auto all = records();
  if (all.size() <= 16) {
    std::size_t first = 0;
    while (first < all.size() && all[first].type < type)
      ++first;
    std::size_t last = first;
    while (last < all.size() && all[last].type == type)
      ++last;
    return all.subspan(first, last - first);
  }
  const auto first = std::lower_bound(
      all.begin(), all.end(), type,
      [](const StoredRecord& record, RrType wanted) { return record.type < wanted; });
  const auto last = std::upper_bound(
      first, all.end(), type,
      [](RrType wanted, const StoredRecord& record) { return wanted < record.type; });
  return {first, last};
}

std::uint64_t ZoneNode::records_digest() const {
  std::uint64_t sum = 0;
  for (const StoredRecord& record : records()) {
    const std::uint64_t one = std::hash<std::string_view>()(as_text(rdata(record)));
    sum += multiply_and_fold(one ^ 0x9e37'79b9'7f4a'7c15U,
                             static_cast<std::uint64_t>(record.type) << 32 | 0xd1b5'4a33U);
  }
  return sum;
}

bool ZoneNode::same_content(const ZoneNode& other) const {
  return stale == other.stale && set == other.set && why() == other.why() &&
         record_count_ == other.record_count_ && records_digest() == other.records_digest();
}

ZoneStore::~ZoneStore() {
  for (const Shard& shard : shards_)
    for (std::uint32_t i = 0; i < shard.capacity; ++i)
      ZoneNode::Free()(shard.slots[i].node);
}

std::uint64_t ZoneStore::hash(Bytes name) const {
  return seeded_hash(name, seed_);
}

const ZoneNode* ZoneStore::find(Bytes name, std::uint64_t hash) const {
  const Shard& shard = shards_[hash >> 56];
  if (shard.capacity == 0) return nullptr;
  const std::uint32_t mask = shard.capacity - 1;
  for (std::uint32_t i = static_cast<std::uint32_t>(hash) & mask;; i = (i + 1) & mask) {
    const Slot& slot = shard.slots[i];
    if (slot.node == nullptr) return nullptr;
    if (slot.hash == hash && std::ranges::equal(slot.node->name(), name)) return slot.node;
  }
}

void ZoneStore::prefetch(std::uint64_t hash) const {
  const Shard& shard = shards_[hash >> 56];
  if (shard.capacity != 0)
    __builtin_prefetch(&shard.slots[static_cast<std::uint32_t>(hash) & (shard.capacity - 1)]);
}

void ZoneStore::prefetch_node(std::uint64_t hash) const {
  const Shard& shard = shards_[hash >> 56];
  if (shard.capacity == 0) return;
  const std::uint32_t mask = shard.capacity - 1;
  for (std::uint32_t i = static_cast<std::uint32_t>(hash) & mask;; i = (i + 1) & mask) {
    const Slot& slot = shard.slots[i];
    if (slot.node == nullptr) return;
    if (slot.hash != hash) continue;
    for (std::size_t line = 0; line < 3; ++line)
      __builtin_prefetch(reinterpret_cast<const char*>(slot.node) + 64 * line);
    return;
  }
}

ZoneStore::Slot* ZoneStore::find_slot(Bytes name, std::uint64_t hash) {
  Shard& shard = shards_[hash >> 56];
  if (shard.capacity == 0) return nullptr;
  const std::uint32_t mask = shard.capacity - 1;
  for (std::uint32_t i = static_cast<std::uint32_t>(hash) & mask;; i = (i + 1) & mask) {
    Slot& slot = shard.slots[i];
    if (slot.node == nullptr) return nullptr;
    if (slot.hash == hash && std::ranges::equal(slot.node->name(), name)) return &slot;
  }
}

ZoneStore::Shard& ZoneStore::grow(Shard& shard) {
  if (shard.used * 4 < shard.capacity * 3) return shard;
  Shard larger;
  larger.capacity = std::max<std::uint32_t>(4, shard.capacity * 2);
  larger.slots = std::make_unique<Slot[]>(larger.capacity);
  larger.used = shard.used;
  const std::uint32_t mask = larger.capacity - 1;
  for (std::uint32_t i = 0; i < shard.capacity; ++i) {
    if (shard.slots[i].node == nullptr) continue;
    std::uint32_t to = static_cast<std::uint32_t>(shard.slots[i].hash) & mask;
    while (larger.slots[to].node != nullptr)
      to = (to + 1) & mask;
    larger.slots[to] = shard.slots[i];
  }
  return shard = std::move(larger);
}

void ZoneStore::insert(ZoneNode* node, std::uint64_t hash) {
  Shard& shard = grow(shards_[hash >> 56]);
  const std::uint32_t mask = shard.capacity - 1;
  std::uint32_t i = static_cast<std::uint32_t>(hash) & mask;
  while (shard.slots[i].node != nullptr)
    i = (i + 1) & mask;
  shard.slots[i] = {hash, node};
  ++shard.used;
}

void ZoneStore::remove(Bytes name, std::uint64_t hash) {
  Slot* const found = find_slot(name, hash);
  OUTRIDER_ASSERT(found != nullptr);
  Shard& shard = shards_[hash >> 56];
  const ZoneNode::Owner gone(found->node);
  const std::uint32_t mask = shard.capacity - 1;
  // Moves back what had to go past the gap, so that no marker of the dead is needed.
  std::uint32_t gap = static_cast<std::uint32_t>(found - shard.slots.get());
  for (std::uint32_t i = (gap + 1) & mask; shard.slots[i].node != nullptr; i = (i + 1) & mask) {
    const std::uint32_t home = static_cast<std::uint32_t>(shard.slots[i].hash) & mask;
    if (((i - home) & mask) < ((i - gap) & mask)) continue;
    shard.slots[gap] = shard.slots[i];
    gap = i;
  }
  shard.slots[gap] = {};
  --shard.used;
}

ZoneNode::Owner ZoneStore::put(ZoneNode::Owner node) {
  node->set = true;
  const std::uint64_t at = hash(node->name());
  if (Slot* const slot = find_slot(node->name(), at)) {
    node->below = slot->node->below;
    node->asked = slot->node->asked;
    if (!slot->node->set) ++set_count_;
    ZoneNode::Owner former(slot->node);
    slot->node = node.release();
    return former;
  }
  grow(shards_[at >> 56]);  // while the node still has an owner
  ZoneNode* const placed = node.release();
  insert(placed, at);
  ++set_count_;
  hold_parent(placed->name());
  return nullptr;
}

void ZoneStore::hold_parent(Bytes name) {
  while (!name.empty()) {
    name = parent_of(name);
    if (name.empty()) return;  // the origin exists by itself
    const std::uint64_t at = hash(name);
    if (Slot* const slot = find_slot(name, at)) {
      ++slot->node->below;
      return;
    }
    auto parent = ZoneNode::make(name, {}, {}, {});
    parent->below = 1;
    grow(shards_[at >> 56]);
    insert(parent.release(), at);
  }
}

bool ZoneStore::erase(Bytes name) {
  const std::uint64_t at = hash(name);
  Slot* const slot = find_slot(name, at);
  if (slot == nullptr || !slot->node->set) return false;
  --set_count_;
  if (slot->node->below > 0) {
    const std::uint32_t below = slot->node->below;
    auto empty = ZoneNode::make(name, {}, {}, {});
    const ZoneNode::Owner former(slot->node);
    slot->node = empty.release();
    slot->node->below = below;
    return true;
  }
  remove(name, at);
  release_parent(name);
  return true;
}

void ZoneStore::release_parent(Bytes name) {
  while (!name.empty()) {
    name = parent_of(name);
    if (name.empty()) return;
    const std::uint64_t at = hash(name);
    ZoneNode* const parent = find_slot(name, at)->node;
    if (--parent->below > 0 || parent->set) return;
    remove(name, at);
  }
}

}  // namespace outrider::dns
