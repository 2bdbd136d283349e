// SPDX-License-Identifier: Apache-2.0
// Keys with their values, and what has lately happened to them, as etcd counts it: one revision for
// everything that changes together. Pure.
//
//   put, remove ▸ commit ▸ keys, history ▸ at(revision), watches
//
// The history is bounded: revisions before compact_revision() can neither be read nor watched.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/etcd/key_range.h"
#include "agent/doors/etcd/rpc.h"

namespace outrider::doors::etcd {

/// Changes of keys that are remembered, and octets of their values and keys.
inline constexpr std::size_t kHistoryEventsMax = 8'192;
inline constexpr std::size_t kHistoryBytesMax = 4U << 20;

class Store {
 public:
  using Keys = std::map<std::string, KeyValuePtr, std::less<>>;
  /// What changed together. Events have the values before, in their order.
  struct Revision {
    std::int64_t number = 0;
    std::vector<Event> events;
  };

  /// No keys, and nothing is known of what was before `revision`.
  explicit Store(std::int64_t revision = 1) : revision_(revision), base_(revision) {}

  std::int64_t revision() const { return revision_; }
  /// The first revision that can be watched from.
  std::int64_t compact_revision() const { return base_ + 1; }
  /// The one before it, at which the history begins.
  std::int64_t base() const { return base_; }
  const Keys& keys() const { return keys_; }
  /// Null if there is none.
  KeyValuePtr find(std::string_view key) const;
  std::vector<KeyValuePtr> in(const KeyRange& range) const;
  /// How many these are, counted up to `most`.
  std::size_t count(const KeyRange& range, std::size_t most) const;
  /// As it was; the revision is neither compacted nor in the future.
  std::vector<KeyValuePtr> at(const KeyRange& range, std::int64_t revision) const;
  const std::deque<Revision>& history() const { return history_; }

  // --- changes: visible at once, of one revision with the next commit() -------------------------
  void put(const std::string& key, std::string value, std::int64_t lease);
  bool remove(std::string_view key);
  bool has_changes() const { return !pending_.empty(); }
  /// Null if nothing has changed.
  const Revision* commit();
  /// Revisions go on from here, if that is later. Nothing has happened in between.
  void skip_to(std::int64_t revision);

  // --- for what was kept of an earlier life -----------------------------------------------------
  /// A key as it was at the revision where the store begins.
  void restore(KeyValuePtr kv) { keys_[kv->key] = std::move(kv); }
  /// Events without values before, of a later revision than all before.
  void replay(Revision revision);

 private:
  void remember(Revision revision);

  std::int64_t revision_;
  std::int64_t base_;  // the history begins behind it
  Keys keys_;
  std::vector<Event> pending_;
  std::deque<Revision> history_;
  std::size_t history_events_ = 0, history_bytes_ = 0;
};

}  // namespace outrider::doors::etcd
