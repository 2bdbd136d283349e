// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "agent/registry/registry_state.h"

namespace outrider::registry {

Changes Registry::see(Sighting sighting, Moment now) {
  Changes changes;
  const std::string place = sighting.place.key;
  const std::string key = sighting.service.label() + '/' + sighting.id.label();
  auto found = state_->place_to_seen.find(place);
  if (found == state_->place_to_seen.end()) {
    if (state_->place_to_seen.size() >= kSightingsMax) {
      ++state_->refused;
      return state_->finish({});
    }
  } else if (found->second != key) {
    changes = lose(place, now);  // the same record now speaks of another instance
  }
  auto& places = state_->seen[key].places;
  if (!places.contains(place) && places.size() >= kPlacesMax) {
    ++state_->refused;
    return state_->finish(std::move(changes));
  }
  if (const auto known = places.find(place); known != places.end())
    state_->forget_grace(known->second);
  state_->place_to_seen[place] = key;
  if (sighting.addresses.size() > kAddressesSeenMax) sighting.addresses.resize(kAddressesSeenMax);
  places[place] = {std::move(sighting), std::nullopt};
  state_->refresh_seen(key, changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::lose(std::string_view place_key, Moment now) {
  Changes changes;
  const auto found = state_->place_to_seen.find(std::string(place_key));
  if (found == state_->place_to_seen.end()) return state_->finish({});
  const std::string key = found->second;
  state_->place_to_seen.erase(found);
  auto& entry = state_->seen[key];
  const auto place = entry.places.find(std::string(place_key));
  state_->forget_grace(place->second);
  entry.places.erase(place);
  if (entry.places.empty() && entry.merged)
    state_->services[entry.merged->service.label()].last_note =
        entry.merged->id.text() + " left at " + clock_text(now.wall);
  state_->refresh_seen(key, changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::go_stale(std::string_view place_key, Moment now) {
  Changes changes;
  const auto found = state_->place_to_seen.find(std::string(place_key));
  if (found == state_->place_to_seen.end()) return state_->finish({});
  State::Place& place = state_->seen[found->second].places[found->first];
  if (!place.stale_until) {
    place.stale_until = now.at + kStaleGrace;
    state_->stale_due.emplace(*place.stale_until, found->first);
    state_->refresh_seen(found->second, changes, now);
  }
  return state_->finish(std::move(changes));
}

bool Registry::has_place(std::string_view place_key) const {
  return state_->place_to_seen.contains(std::string(place_key));
}

void Registry::State::forget_grace(const Place& place) {
  if (place.stale_until) stale_due.erase({*place.stale_until, place.sighting.place.key});
}

/// One instance from all its places: the most telling one speaks, addresses come together.
std::optional<Instance> Registry::State::merge(const std::string& key, const Seen& entry,
                                               Moment now) const {
  if (entry.places.empty() || own_labels.contains(key)) return std::nullopt;
  const Place* best = nullptr;
  for (const auto& [name, place] : entry.places) {
    const auto better = [&place = place, best] {
      if (place.stale_until.has_value() != best->stale_until.has_value())
        return !place.stale_until.has_value();
      return place.sighting.detailed && !best->sighting.detailed;
    };
    if (best == nullptr || better()) best = &place;
  }
  const Sighting& s = best->sighting;
  Instance out{.id = s.id, .service = s.service, .version = s.version, .port = s.port};
  out.protocol = s.protocol;
  out.tags = s.tags;
  out.metadata = s.metadata;
  out.weight = s.weight;
  out.farp = s.farp;
  out.health = s.health;
  out.source = s.source;
  out.scope = Scope::lan;
  out.stale = best->stale_until.has_value();
  out.addresses = s.addresses;
  out.places.push_back(s.place);
  for (const auto& [name, place] : entry.places) {
    out.on_this_host = out.on_this_host || place.sighting.on_this_host;
    if (&place == best) continue;
    out.places.push_back(place.sighting.place);
    for (const PlacedAddress& address : place.sighting.addresses)
      if (std::find(out.addresses.begin(), out.addresses.end(), address) == out.addresses.end() &&
          out.addresses.size() < kAddressesSeenMax && !place.stale_until)
        out.addresses.push_back(address);
  }
  out.registered = out.up = out.dirty = now;
  if (entry.merged) {
    out.registered = entry.merged->registered;
    out.up = usable(entry.merged->health) ? entry.merged->up : now;
    out.dirty = entry.merged->dirty;
  }
  out.renewed = now;
  return out;
}

/// True if a newer instance of the service, or a registration of ours, holds host and port.
bool Registry::State::shadowed(const std::string& key, const Instance& instance) const {
  const auto service = services.find(instance.service.label());
  if (instance.on_this_host && instance.port != 0 && service != services.end())
    for (const auto& [name, other] : service->second.listed) {
      if (!other->own()) break;  // own ones come first
      if (other->port == instance.port) return true;
    }
  const std::string spot_key = spot_of(instance);
  const auto rivals = spot.find(spot_key);
  if (spot_key.empty() || rivals == spot.end()) return false;
  for (const std::string& rival : rivals->second) {
    if (rival == key) continue;
    const InstancePtr& other = seen.at(rival).merged;
    if (!other) continue;
    if (std::tie(other->registered.at, other->id) > std::tie(instance.registered.at, instance.id))
      return true;
  }
  return false;
}

namespace {

/// Equal but for what a mere refresh moves.
bool same_sighting(const Instance& a, const Instance& b) {
  return a.version == b.version && a.port == b.port && a.addresses == b.addresses &&
         a.protocol == b.protocol && a.tags == b.tags && a.metadata == b.metadata &&
         a.weight == b.weight && a.farp == b.farp && a.health == b.health && a.source == b.source &&
         a.on_this_host == b.on_this_host && a.stale == b.stale && a.shadowed == b.shadowed &&
         a.places.size() == b.places.size() && a.service.text() == b.service.text();
}

/// Expiry times are part of what DNS answers (TTLs); a refresh moves them without being news.
bool same_expiry(const Instance& a, const Instance& b) {
  return std::equal(a.places.begin(), a.places.end(), b.places.begin(), b.places.end(),
                    [](const SightedPlace& x, const SightedPlace& y) {
                      return x.key == y.key && x.expires == y.expires;
                    });
}

}  // namespace

/// Makes the listed instance what its places say now.
void Registry::State::refresh_seen(const std::string& key, Changes& changes, Moment now) {
  const auto found = seen.find(key);
  if (found == seen.end()) return;
  Seen& entry = found->second;
  const InstancePtr before = entry.merged;
  std::optional<Instance> next = merge(key, entry, now);
  std::string spot_before = before ? spot_of(*before) : std::string();
  std::string spot_after = next ? spot_of(*next) : std::string();
  if (spot_before != spot_after) {
    if (auto at = spot.find(spot_before); at != spot.end()) {
      at->second.erase(key);
      if (at->second.empty()) spot.erase(at);
    }
    if (!spot_after.empty()) spot[spot_after].insert(key);
  }
  if (next) {
    next->shadowed = shadowed(key, *next);
    const bool news = !before || !same_sighting(*before, *next);
    if (!news && same_expiry(*before, *next)) return;
    if (news) ++revision;
    next->revision = news ? revision : before->revision;
    next->created_revision = before ? before->created_revision : revision;
    next->latest = news ? now : before->latest;
    entry.merged = std::make_shared<const Instance>(std::move(*next));
    const std::uint64_t service_revision =
        news ? revision : services[found->second.merged->service.label()].revision;
    list(before, entry.merged, changes, now);
    services[entry.merged->service.label()].revision = service_revision;
  } else {
    const bool empty = entry.places.empty();
    entry.merged = nullptr;
    if (before) {
      ++revision;
      list(before, nullptr, changes, now);
    }
    if (empty) seen.erase(found);
  }
  if (!spot_before.empty() && spot_before != spot_after) reshadow(spot_before, changes, now);
  if (!spot_after.empty()) reshadow(spot_after, changes, now);
}

/// Those who share a host and port with one that came or went.
void Registry::State::reshadow(const std::string& spot_key, Changes& changes, Moment now) {
  const auto rivals = spot.find(spot_key);
  if (rivals == spot.end()) return;
  for (const std::string& key : rivals->second)
    reshadow_one(key, changes, now);
}

/// Those of this host, after a registration came, went or moved to another port.
void Registry::State::reshadow_host(const std::string& label, Changes& changes, Moment now) {
  std::vector<std::string> keys;
  const auto& listed = services[label].listed;
  for (auto it = listed.lower_bound(std::string(1, kForeignMark)); it != listed.end(); ++it)
    if (it->second->on_this_host) keys.push_back(label_key(*it->second));
  for (const std::string& key : keys)
    reshadow_one(key, changes, now);
}

void Registry::State::reshadow_one(const std::string& key, Changes& changes, Moment now) {
  Seen& entry = seen.at(key);
  if (!entry.merged || shadowed(key, *entry.merged) == entry.merged->shadowed) return;
  const InstancePtr before = entry.merged;
  Instance next = *before;
  next.shadowed = !before->shadowed;
  next.revision = ++revision;
  next.latest = now;
  entry.merged = std::make_shared<const Instance>(std::move(next));
  list(before, entry.merged, changes, now);
}

}  // namespace outrider::registry
