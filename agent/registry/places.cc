// SPDX-License-Identifier: Apache-2.0
// Which instance an entry of another registry (etcd, Consul) is a place of. Such an entry names no
// host: it is found by its id, or by its address and port where one of the two has no id.
#include "agent/registry/registry_state.h"

namespace outrider::registry {
namespace {

/// Both say which host they are of, and it is not the same.
bool contradict(const StatedHost& a, const StatedHost& b) {
  return !a.identity.empty() && !b.identity.empty() && a.identity != b.identity;
}

bool contradicts(const auto& seen, const Sighting& s) {
  return std::ranges::any_of(seen.reports, [&](const auto& report) {
    return contradict(*report.sighting.stated, *s.stated);
  });
}

template <typename Map, typename Key>
const typename Map::mapped_type* find_in(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

}  // namespace

bool Registry::State::has_room_for(const Sighting& s) const {
  if (place_to_seen.size() >= kSightingsMax) return false;
  return !is_remote(s.source) ||
         places_of[static_cast<std::size_t>(s.source)] < kRemoteSightingsMax;
}

Registry::State::Key Registry::State::id_key_of(const SeenKey& key) {
  const auto id = InstanceId::from_foreign(key.id);
  return {key.service, id ? id->label() : key.id};
}

/// From here on the indexes are kept: an agent without engines needs none.
void Registry::State::begin_remote() {
  if (std::exchange(has_remote, true)) return;
  for (SeenEntry& entry : seen)
    index_seen(entry);
}

void Registry::State::index_seen(SeenEntry& entry) {
  if (!has_remote) return;
  std::set<Contact> next;
  for (const Report& report : entry.second.reports)
    for (const PlacedAddress& placed : report.sighting.addresses)
      if (report.sighting.port != 0)
        next.insert({entry.first.service, placed.address.with_scope(0), report.sighting.port});
  by_id[id_key_of(entry.first)].insert(&entry);
  for (const Contact& contact : entry.second.contacts)
    if (!next.contains(contact))
      if (const auto found = by_contact.find(contact); found != by_contact.end()) {
        found->second.erase(&entry);
        if (found->second.empty()) by_contact.erase(found);
      }
  for (const Contact& contact : next)
    if (auto& entries = by_contact[contact]; entries.size() < kEntriesPerContactMax)
      entries.insert(&entry);
  entry.second.contacts = std::move(next);
}

void Registry::State::unindex_seen(SeenEntry& entry) {
  if (!has_remote) return;
  if (const auto found = by_id.find(id_key_of(entry.first)); found != by_id.end()) {
    found->second.erase(&entry);
    if (found->second.empty()) by_id.erase(found);
  }
  for (const Contact& contact : std::exchange(entry.second.contacts, {}))
    if (const auto found = by_contact.find(contact); found != by_contact.end()) {
      found->second.erase(&entry);
      if (found->second.empty()) by_contact.erase(found);
    }
}

/// The first one in the order of keys, which is the same in every run.
Registry::State::SeenEntry* Registry::State::first_of(const std::set<SeenEntry*>* entries,
                                                      const auto& fits) const {
  SeenEntry* first = nullptr;
  if (entries == nullptr) return nullptr;
  for (SeenEntry* const each : *entries)
    if ((first == nullptr || each->first < first->first) && fits(*each)) first = each;
  return first;
}

Registry::State::SeenKey Registry::State::seat_of(const Sighting& s) const {
  if (!is_remote(s.source)) return seen_key_of(s);
  std::vector<Contact> contacts;
  for (const PlacedAddress& placed : s.addresses)
    if (s.port != 0) contacts.push_back({s.service.label(), placed.address.with_scope(0), s.port});
  const auto shares_contact = [&](const SeenEntry& entry) {
    return std::ranges::any_of(
        contacts, [&](const Contact& each) { return entry.second.contacts.contains(each); });
  };
  const auto agrees = [&](const SeenEntry& entry) { return !contradicts(entry.second, s); };
  // The same id: first of all where it is reached in the same way, for hosts can have equal ids.
  const auto* const same_id = find_in(by_id, key_of(s.service, s.id));
  if (const SeenEntry* const found =
          first_of(same_id, [&](const SeenEntry& e) { return agrees(e) && shares_contact(e); }))
    return found->first;
  if (const SeenEntry* const found = first_of(same_id, agrees)) return found->first;
  if (s.own_id) return seen_key_of(s);
  for (const Contact& contact : contacts)
    if (const SeenEntry* const found = first_of(find_in(by_contact, contact), agrees))
      return found->first;
  return seen_key_of(s);
}

void Registry::State::adopt(SeenEntry& entry, Changes& changes, Moment now) {
  // A copy: the reports move.
  const Sighting s = std::ranges::max_element(entry.second.reports, {}, &Report::order)->sighting;
  const auto is_free = [&](const SeenEntry& other) {
    return &other != &entry && other.second.is_remote_only() && !contradicts(other.second, s) &&
           other.second.reports.size() + entry.second.reports.size() <= kPlacesMax;
  };
  while (SeenEntry* const other = first_of(find_in(by_id, id_key_of(entry.first)), is_free))
    absorb(entry, *other, changes, now);
  const auto has_no_id = [&](const SeenEntry& other) {
    return is_free(other) && !other.second.has_own_id();
  };
  const std::set<Contact> contacts = entry.second.contacts;
  for (const Contact& contact : contacts)
    while (SeenEntry* const other = first_of(find_in(by_contact, contact), has_no_id))
      absorb(entry, *other, changes, now);
}

/// `into` goes on as what `from` was, so that readers see an instance change rather than one that
/// leaves beside one that comes.
void Registry::State::absorb(SeenEntry& into, SeenEntry& from, Changes& changes, Moment now) {
  Seen& target = into.second;
  Seen& source = from.second;
  for (Report& report : source.reports) {
    place_to_seen.find(report.sighting.place.key)->second = &into;
    const auto at = std::ranges::find_if(target.reports, [&](const Report& each) {
      return each.sighting.place.key > report.sighting.place.key;
    });
    target.reports.insert(at, std::move(report));
  }
  source.reports.clear();
  index_seen(into);
  if (source.merged && !target.merged) {
    const InstancePtr& moved = source.merged;
    services[into.first.service].listed[list_key(*moved)].seen = &into;
    target.merged = std::exchange(source.merged, nullptr);
    target.id_is_open = true;
  }
  refresh_seen(from, changes, now);
}

std::vector<Sighting> Registry::State::strangers_in(const SeenEntry& entry) {
  std::vector<Sighting> strangers;
  const auto& reports = entry.second.reports;
  if (!entry.second.has_own_id()) return strangers;
  for (const Report& report : reports) {
    const Sighting& s = report.sighting;
    if (s.own_id || s.id.text() == entry.first.id) continue;
    const bool known = std::ranges::any_of(reports, [&](const Report& other) {
      return other.sighting.own_id && other.sighting.port == s.port &&
             std::ranges::any_of(s.addresses, [&](const PlacedAddress& placed) {
               return std::ranges::any_of(other.sighting.addresses, [&](const auto& each) {
                 return each.address.with_scope(0) == placed.address.with_scope(0);
               });
             });
    });
    if (!known) strangers.push_back(s);
  }
  return strangers;
}

/// Two ids at one address and port are one program: what a nearer source says of it counts. Where
/// two entries of other registries both state their id, they are two instances, for anyone could
/// replace an instance otherwise; a made id yields to a stated one, and the older of two to the
/// newer one.
bool Registry::State::shadowed_by_nearer(const SeenEntry& entry, const Instance& instance) const {
  if (!is_remote(instance.source)) return false;
  const bool has_id = entry.second.has_own_id();
  const auto shadows = [&](const SeenEntry& rival) {
    const InstancePtr& other = rival.second.merged;
    if (&rival == &entry || !other || other->port != instance.port) return false;
    if (!usable(other->health) || other->stale) return false;
    const bool rival_has_id = rival.second.has_own_id();
    if (is_remote(other->source) && has_id && rival_has_id) return false;
    if (other->source != instance.source) return other->source < instance.source;
    return std::tie(rival_has_id, other->registered.at, other->id) >
           std::tie(has_id, instance.registered.at, instance.id);
  };
  const auto is_this = [&](const SeenEntry& each) { return &each == &entry; };
  return std::ranges::any_of(entry.second.contacts, [&](const Contact& contact) {
    const auto* const entries = find_in(by_contact, contact);
    // Beyond kEntriesPerContactMax it is not compared: nothing would show it again.
    return first_of(entries, is_this) != nullptr && first_of(entries, shadows) != nullptr;
  });
}

/// Entries of other registries that share an address and port with one that came, left or changed.
void Registry::State::reshadow_remote(const std::set<Contact>& contacts, Source nearest,
                                      Changes& changes, Moment now) {
  for (const Contact& contact : contacts)
    if (const auto* const entries = find_in(by_contact, contact))
      for (SeenEntry* const each : std::vector(entries->begin(), entries->end()))
        if (each->second.merged && is_remote(each->second.merged->source) &&
            each->second.merged->source >= nearest)
          reshadow_one(*each, changes, now);
}

}  // namespace outrider::registry
