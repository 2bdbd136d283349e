// SPDX-License-Identifier: Apache-2.0
// What people are shown of a Publisher.
#include <algorithm>

#include "registries/etcd/publisher.h"

namespace outrider::registries::etcd {

std::size_t Publisher::written() const {
  return static_cast<std::size_t>(std::ranges::count_if(keys_, [](const auto& each) {
    return each.second.state == State::ours && each.second.layout != nullptr;
  }));
}

WrittenKey::State Publisher::to_written(State state) {
  switch (state) {
    case State::wanted:
      return WrittenKey::State::waiting;
    case State::ours:
      return WrittenKey::State::written;
    case State::conflict:
      return WrittenKey::State::conflict;
    case State::refused:
      return WrittenKey::State::refused;
  }
  OUTRIDER_UNREACHABLE();
}

/// A layout without ids may have the key under another registration.
std::vector<WrittenKey> Publisher::keys_of(std::string_view registration_key) const {
  std::vector<WrittenKey> found;
  const auto registration = registrations_.find(registration_key);
  if (registration == registrations_.end()) return found;
  for (const auto& layout : layouts_) {
    const auto kv = layout->write(registration->second, options_.writer, unix_seconds());
    const auto at = kv ? keys_.find(kv->key) : keys_.end();
    if (at == keys_.end()) continue;
    const Key& key = at->second;
    WrittenKey one{.where = {.key = at->first, .endpoint = endpoint(), .revision = key.revision},
                   .state = to_written(key.state),
                   .reason = key.reason};
    // Of what others hold, the lease is theirs.
    if (key.revision != 0) {
      one.where.lease = lease_;
      one.lease_time = lease_time();
    }
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<std::string> Publisher::refusals() const {
  std::vector<std::string> texts;
  for (const auto& [name, key] : keys_)
    if (key.state == State::refused) texts.push_back(name + " cannot be written: " + key.reason);
  return texts;
}

}  // namespace outrider::registries::etcd
