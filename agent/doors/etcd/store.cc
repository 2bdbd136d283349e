// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/store.h"

#include <algorithm>

#include "base/assert.h"

namespace outrider::doors::etcd {
namespace {

/// The first and the one behind the last key of a range.
template <class Keys>
auto bounds(Keys& keys, const KeyRange& range) {
  const auto first = keys.lower_bound(range.first);
  if (range.is_single()) {
    const bool there = first != keys.end() && first->first == range.first;
    return std::pair(first, there ? std::next(first) : first);
  }
  if (range.is_open()) return std::pair(first, keys.end());
  // An end before the beginning is a range without keys.
  return std::pair(first, range.end <= range.first ? first : keys.lower_bound(range.end));
}

std::size_t bytes_of(const Event& event) {
  return sizeof(Event) + sizeof(KeyValue) + event.kv->key.size() + event.kv->value.size();
}

}  // namespace

KeyValuePtr Store::find(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : found->second;
}

std::vector<KeyValuePtr> Store::in(const KeyRange& range) const {
  std::vector<KeyValuePtr> found;
  const auto [first, last] = bounds(keys_, range);
  for (auto at = first; at != last; ++at)
    found.push_back(at->second);
  return found;
}

std::size_t Store::count(const KeyRange& range, std::size_t most) const {
  std::size_t count = 0;
  const auto [first, last] = bounds(keys_, range);
  for (auto at = first; at != last && count < most; ++at)
    ++count;
  return count;
}

std::vector<KeyValuePtr> Store::at(const KeyRange& range, std::int64_t revision) const {
  OUTRIDER_ASSERT(revision >= base_ && revision <= revision_);
  Keys then;
  const auto [first, last] = bounds(keys_, range);
  then.insert(first, last);
  for (auto back = history_.rbegin(); back != history_.rend() && back->number > revision; ++back)
    for (auto event = back->events.rbegin(); event != back->events.rend(); ++event) {
      if (!range.contains(event->kv->key)) continue;
      if (event->prev_kv)
        then[event->kv->key] = event->prev_kv;
      else
        then.erase(event->kv->key);
    }
  std::vector<KeyValuePtr> found;
  for (auto& [key, kv] : then)
    found.push_back(std::move(kv));
  return found;
}

void Store::put(const std::string& key, std::string value, std::int64_t lease) {
  KeyValuePtr& here = keys_[key];
  KeyValue next{.key = key,
                .create_revision = here ? here->create_revision : revision_ + 1,
                .mod_revision = revision_ + 1,
                .version = here ? here->version + 1 : 1,
                .value = std::move(value),
                .lease = lease};
  KeyValuePtr before = std::exchange(here, std::make_shared<const KeyValue>(std::move(next)));
  pending_.push_back({Event::Type::put, here, std::move(before)});
}

bool Store::remove(std::string_view key) {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return false;
  KeyValue gone{.key = found->first, .mod_revision = revision_ + 1};
  pending_.push_back({Event::Type::deleted, std::make_shared<const KeyValue>(std::move(gone)),
                      std::move(found->second)});
  keys_.erase(found);
  return true;
}

const Store::Revision* Store::commit() {
  if (pending_.empty()) return nullptr;
  remember({++revision_, std::exchange(pending_, {})});
  return &history_.back();
}

void Store::skip_to(std::int64_t revision) {
  OUTRIDER_ASSERT(pending_.empty());
  revision_ = std::max(revision_, revision);
}

void Store::replay(Revision revision) {
  for (Event& event : revision.events) {
    const auto known = keys_.find(event.kv->key);
    if (known != keys_.end()) event.prev_kv = known->second;
    if (event.type == Event::Type::put)
      keys_[event.kv->key] = event.kv;
    else if (known != keys_.end())
      keys_.erase(known);
  }
  revision_ = revision.number;
  remember(std::move(revision));
}

void Store::remember(Revision revision) {
  history_events_ += revision.events.size();
  for (const Event& event : revision.events)
    history_bytes_ += bytes_of(event);
  history_.push_back(std::move(revision));
  // The newest one stays, however large: no watch has reported it yet.
  while (history_.size() > 1 &&
         (history_events_ > kHistoryEventsMax || history_bytes_ > kHistoryBytesMax)) {
    base_ = history_.front().number;
    history_events_ -= history_.front().events.size();
    for (const Event& event : history_.front().events)
      history_bytes_ -= bytes_of(event);
    history_.pop_front();
  }
}

}  // namespace outrider::doors::etcd
