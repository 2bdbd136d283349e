// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "agent/registry/registry_state.h"

namespace outrider::registry {

Changes Registry::see(Sighting sighting, Moment now) {
  Changes changes;
  const std::string place = sighting.place.key;
  // Proven by where it came from, so that its text need not say so.
  if (sighting.from_this_host)
    sighting.stated = StatedHost{state_->host.identity, sighting.stated->node};
  if (is_remote(sighting.source)) state_->begin_remote();
  const State::SeenKey key = state_->seat_of(sighting);
  auto found = state_->place_to_seen.find(place);
  if (found == state_->place_to_seen.end()) {
    if (!state_->has_room_for(sighting)) {
      ++state_->refused;
      return state_->finish({});
    }
  } else if (found->second->first != key) {
    changes = lose(place, now);  // the same record now describes another instance
  }
  const auto [at, fresh] = state_->seen.try_emplace(key);
  State::SeenEntry& entry = *at;
  auto& reports = entry.second.reports;
  auto report = entry.second.report_of(place);
  if (report == reports.end() && reports.size() >= kPlacesMax) {
    ++state_->refused;
    return state_->finish(std::move(changes));
  }
  if (sighting.addresses.size() > kAddressesSeenMax) sighting.addresses.resize(kAddressesSeenMax);
  ++state_->reports;
  bool moved = fresh;
  if (report != reports.end()) {
    moved =
        report->sighting.addresses != sighting.addresses || report->sighting.port != sighting.port;
    state_->forget_grace(*report);
    // An entry of another registry that was rewritten is not the one that has long been known.
    const bool is_other = moved && report->remote();
    const std::uint64_t order = is_other ? state_->reports : report->order;
    *report = {std::move(sighting), order, std::nullopt, {}};
  } else {
    moved = true;
    state_->place_to_seen[place] = &entry;
    ++state_->places_of[static_cast<std::size_t>(sighting.source)];
    report = std::ranges::find_if(
        reports, [&](const State::Report& each) { return each.sighting.place.key > place; });
    reports.insert(report, {std::move(sighting), state_->reports, std::nullopt, {}});
  }
  if (!moved || !state_->has_remote) {
    state_->refresh_seen(entry, changes, now);
    return state_->finish(std::move(changes));
  }
  state_->index_seen(entry);
  state_->adopt(entry, changes, now);
  std::vector<Sighting> strangers = State::strangers_in(entry);
  state_->refresh_seen(entry, changes, now);
  entry.second.id_is_open = false;
  for (Sighting& stranger : strangers) {
    changes.append(lose(stranger.place.key, now));
    changes.append(see(std::move(stranger), now));
  }
  return state_->finish(std::move(changes));
}

Changes Registry::lose(std::string_view place_key, Moment now) {
  Changes changes;
  const auto found = state_->place_to_seen.find(place_key);
  if (found == state_->place_to_seen.end()) return state_->finish({});
  State::SeenEntry& entry = *found->second;
  state_->place_to_seen.erase(found);
  State::Seen& seen = entry.second;
  const auto report = seen.report_of(place_key);
  state_->forget_grace(*report);
  --state_->places_of[static_cast<std::size_t>(report->sighting.source)];
  seen.reports.erase(report);
  if (!seen.reports.empty()) state_->index_seen(entry);
  if (seen.reports.empty() && seen.merged) state_->record_note(*seen.merged, "left", now);
  state_->refresh_seen(entry, changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::go_stale(std::string_view place_key, Moment now, const StaleFor& how) {
  Changes changes;
  const auto found = state_->place_to_seen.find(place_key);
  if (found == state_->place_to_seen.end()) return state_->finish({});
  State::Report& report = *found->second->second.report_of(place_key);
  if (!report.stale_until) {
    Staleness stale{.is_stale = true, .since = now.wall, .reason = how.reason};
    if (how.grace == Duration::max()) {
      report.stale_until = TimePoint::max();
    } else {
      report.stale_until = now.at + how.grace;
      stale.until = now.wall + how.grace;
      state_->stale_due.emplace(*report.stale_until, found->first);
    }
    report.stale = std::move(stale);
    state_->refresh_seen(*found->second, changes, now);
  }
  return state_->finish(std::move(changes));
}

bool Registry::has_place(std::string_view place_key) const {
  return state_->place_to_seen.contains(place_key);
}

void Registry::State::forget_grace(const Report& report) {
  if (report.stale_until) stale_due.erase({*report.stale_until, report.sighting.place.key});
}

namespace {

/// The checks of a sighting; those whose health stayed keep the time since when.
std::vector<CheckState> checks_of(const Sighting& sighting, const InstancePtr& before) {
  std::vector<CheckState> checks = sighting.checks;
  if (before)
    for (CheckState& check : checks)
      for (const CheckState& was : before->checks)
        if (was.spec.id == check.spec.id && was.health == check.health) check.since = was.since;
  return checks;
}

bool same_checks(const std::vector<CheckState>& a, const std::vector<CheckState>& b) {
  return std::ranges::equal(a, b, [](const CheckState& x, const CheckState& y) {
    return x.spec == y.spec && x.health == y.health && x.output == y.output;
  });
}

/// How much an entry counts among those of the same registry: most if it carries the mark of the
/// agent that wrote it, then if it is under a lease, which ends with its owner.
struct Standing {
  bool marked = false, leased = false;
  auto operator<=>(const Standing&) const = default;
};
Standing standing_of(const auto& report) {
  if (!report.remote()) return {};
  const Sighting& s = report.sighting;
  return {.marked = !s.stated->identity.empty(), .leased = s.place.detail->lease != 0};
}

/// Whether report `a` describes the instance better than `b`. A source that does not answer knows
/// less than any that does, a copy less than its original, and the agent that is responsible for it
/// knows best. What a neighbour forged never replaces what the host itself sent, and what came
/// later never replaces its equal.
bool better(const auto& a, const auto& b) {
  const auto rank = [](const auto& report) {
    const Sighting& s = report.sighting;
    return std::tuple(!report.stale_until.has_value(), s.place.via.empty(),
                      -static_cast<int>(s.source), standing_of(report), s.own_id, s.vouched,
                      s.detailed, s.primary);
  };
  return rank(a) != rank(b) ? rank(a) > rank(b) : a.order < b.order;
}

/// The one that describes the instance; null without any.
auto* best_of(const auto& reports) {
  decltype(reports.data()) best = nullptr;
  for (const auto& report : reports)
    if (best == nullptr || better(report, *best)) best = &report;
  return best;
}

/// Whether another current entry of the same registry counts more. What anyone can write there
/// changes nothing of an instance that its owner writes, too.
bool is_outranked(const auto& report, const auto& all) {
  return std::ranges::any_of(all, [&](const auto& other) {
    return !other.stale_until && other.sighting.source == report.sighting.source &&
           standing_of(other) > standing_of(report);
  });
}

SightedPlace place_of(const auto& report) {
  SightedPlace place = report.sighting.place;
  place.stale = report.stale;
  return place;
}

/// What another registry adds to the description: health that is worse, since a check there failed,
/// and tags and metadata where it has more of them.
void add_remote(Instance& out, const Sighting& s) {
  if (s.health > out.health) {
    out.health = s.health;
    out.maintenance = s.health == Health::maintenance;
    out.maintenance_reason = s.maintenance_reason;
    for (const CheckState& check : s.checks)
      if (out.checks.size() < kChecksPerInstanceMax) out.checks.push_back(check);
  }
  if (s.tags.size() > out.tags.size()) out.tags = s.tags;
  if (s.metadata.size() > out.metadata.size()) out.metadata = s.metadata;
}

bool among(const PlacedAddress& placed, const std::vector<PlacedAddress>& all) {
  return std::ranges::any_of(all, [&](const auto& each) { return each.address == placed.address; });
}

}  // namespace

const Instance* Registry::State::listed_own(const Key& key) const {
  const auto found = own_keys.find(key);
  if (found == own_keys.end()) return nullptr;
  const Instance& instance = *own.find(found->second)->second;
  return instance.dropped ? nullptr : &instance;
}

/// A sighting of a registration points to the very same program: at this host, or at the addresses
/// that the registration was given.
std::optional<Registry::State::Key> Registry::State::hidden_by(const Sighting& s) const {
  Key key = key_of(s.service, s.id);
  const Instance* const mine = listed_own(key);
  if (mine == nullptr || s.port != mine->port) return std::nullopt;
  const auto is_mine = [&](const PlacedAddress& each) { return among(each, mine->addresses); };
  const bool same_place =
      s.on_this_host || (!s.addresses.empty() && std::ranges::all_of(s.addresses, is_mine));
  if (!same_place) return std::nullopt;
  return key;
}

Registry::State::SeenEntry* Registry::State::shown_as(const Key& key) const {
  const auto service = services.find(key.service);
  if (service == services.end()) return nullptr;
  const auto found = service->second.listed.find({.foreign = true, .id = key.id});
  return found == service->second.listed.end() ? nullptr : found->second.seen;
}

/// The id as announced where it is free, else with a suffix that depends on the host alone. It
/// stays for as long as the instance is listed.
InstanceId Registry::State::shown_id(const SeenEntry& entry, const Sighting& s) const {
  const auto& [key, known] = entry;
  const auto is_free = [&](const InstanceId& id) {
    const Key labels{entry.first.service, id.label()};
    const SeenEntry* const holder = shown_as(labels);
    return listed_own(labels) == nullptr && (holder == nullptr || holder == &entry);
  };
  if (known.merged && !known.id_is_open && is_free(known.merged->id)) return known.merged->id;
  // An entry without an id of its own may describe it.
  const InstanceId plain = s.id.text() == key.id ? s.id : *InstanceId::from_foreign(key.id);
  if (is_free(plain)) return plain;
  InstanceId id = plain.apart(s.stated->identity.empty() ? key.host : s.stated->identity);
  // A neighbour can copy an identity, and one host can have two labels that DNS writes the same.
  for (int i = 0; !is_free(id); ++i)
    id = plain.apart(key.host + ' ' + std::to_string(key.port) + ' ' + key.id + ' ' +
                     std::to_string(i));
  return id;
}

/// One instance from all reports: the best one describes it, addresses seen on links are joined.
std::optional<Instance> Registry::State::merge(const SeenEntry& entry, Moment now) const {
  const Seen& known = entry.second;
  if (known.reports.empty() || known.hidden_by != nullptr) return std::nullopt;
  const Report* const best = best_of(known.reports);
  const Sighting& s = best->sighting;
  Instance out{.id = shown_id(entry, s), .service = s.service};
  out.announced_id = entry.first.id;
  out.stated = s.stated;
  out.description() = s.description();
  out.health = s.health;
  out.source = s.source;
  out.maintenance = s.health == Health::maintenance;
  out.maintenance_reason = s.maintenance_reason;
  out.checks = checks_of(s, known.merged);
  out.local_name = s.local_name;
  out.exposure = s.exposure;
  out.scope = s.scope;
  out.stale = best->stale_until.has_value();
  out.addresses = s.addresses;
  out.places.push_back(place_of(*best));
  out.on_this_host = s.on_this_host;
  for (const Report& report : known.reports) {
    if (&report == best) continue;
    out.places.push_back(place_of(report));
    if (report.stale_until || report.sighting.vouched != s.vouched) continue;
    if (report.remote()) {
      if (!is_outranked(report, known.reports)) add_remote(out, report.sighting);
      continue;
    }
    // Another agent of this host knows its addresses, but does not report FARP.
    if (!out.farp->enabled) out.farp = report.sighting.farp;
    if (s.source == Source::host) continue;
    out.on_this_host = out.on_this_host || report.sighting.on_this_host;
    for (const PlacedAddress& address : report.sighting.addresses)
      if (std::find(out.addresses.begin(), out.addresses.end(), address) == out.addresses.end() &&
          out.addresses.size() < kAddressesSeenMax)
        out.addresses.push_back(address);
  }
  out.registered = out.up = out.dirty = now;
  if (known.merged) {
    out.registered = known.merged->registered;
    out.up = usable(known.merged->health) ? known.merged->up : now;
    out.dirty = known.merged->dirty;
  }
  out.renewed = now;
  return out;
}

/// A program of this host that an agent registered is not listed a second time because it also
/// announces itself. What agents have registered hides nothing of theirs: all of them say the same.
bool Registry::State::shadowed(const SeenEntry& entry, const Instance& instance) const {
  if (instance.source == Source::host) return false;
  const auto service = services.find(instance.service.label());
  if (instance.on_this_host && service != services.end() &&
      service->second.ports_here.contains(instance.port))
    return true;
  return shadowed_by_nearer(entry, instance);
}

namespace {

bool same_origins(const std::vector<SightedPlace>& a, const std::vector<SightedPlace>& b) {
  return std::ranges::equal(a, b, {}, &SightedPlace::via, &SightedPlace::via);
}

/// Equal except for what a mere refresh changes.
bool same_sighting(const Instance& a, const Instance& b) {
  return a.description() == b.description() && a.addresses == b.addresses && a.health == b.health &&
         a.source == b.source && a.on_this_host == b.on_this_host && a.stale == b.stale &&
         a.shadowed == b.shadowed && same_origins(a.places, b.places) && a.scope == b.scope &&
         a.exposure == b.exposure && a.local_name == b.local_name &&
         same_checks(a.checks, b.checks) && a.maintenance_reason == b.maintenance_reason &&
         a.id == b.id && a.stated == b.stated && a.service.text() == b.service.text();
}

/// Expiry times are part of what DNS answers (TTLs); a refresh moves them without being news. So
/// are leases and revisions for people.
bool same_places(const Instance& a, const Instance& b) {
  return a.places == b.places;
}

}  // namespace

/// Notes whether it is hidden, and by which registration: what describes it decides, for one entry
/// that claims to be a registration of this host must not hide what another host announces.
void Registry::State::set_hidden(SeenEntry& entry) {
  auto& [key, known] = entry;
  std::optional<Key> next;
  if (const Report* const best = best_of(known.reports)) next = hidden_by(best->sighting);
  if (next ? known.hidden_by != nullptr && *known.hidden_by == *next : known.hidden_by == nullptr)
    return;
  if (known.hidden_by != nullptr) {
    const auto others = hidden.find(*std::exchange(known.hidden_by, nullptr));
    others->second.erase(key);
    if (others->second.empty()) hidden.erase(others);
  }
  if (!next) return;
  const auto others = hidden.try_emplace(std::move(*next)).first;
  others->second.insert(key);
  known.hidden_by = &others->first;
}

/// Like list(), for an instance that may be listed under another id than before.
void Registry::State::list_seen(SeenEntry& entry, const InstancePtr& before, Changes& changes,
                                Moment now) {
  const InstancePtr& after = entry.second.merged;
  if (before && after && before->id != after->id) {
    list(before, nullptr, nullptr, changes, now);
    list(nullptr, after, &entry, changes, now);
  } else {
    list(before, after, &entry, changes, now);
  }
}

/// Updates the listed instance from its reports. Without any, the entry is gone afterwards.
void Registry::State::refresh_seen(SeenEntry& entry, Changes& changes, Moment now) {
  auto& [key, known] = entry;
  const std::set<Contact> contacts = known.contacts;
  set_hidden(entry);
  const InstancePtr before = known.merged;
  std::optional<Instance> next = merge(entry, now);
  const Source source_before = before ? before->source : Source::etcd;
  const Source source_after = next ? next->source : Source::etcd;
  const std::string label = key.service;
  const std::uint16_t held_before = before ? held_port(*before) : 0;
  const std::uint16_t held_after = next ? held_port(*next) : 0;
  if (next) {
    next->shadowed = shadowed(entry, *next);
    const bool news = !before || !same_sighting(*before, *next);
    if (news || !same_places(*before, *next)) {
      if (news) ++revision;
      next->revision = news ? revision : before->revision;
      next->created_revision = before ? before->created_revision : revision;
      next->latest = news ? now : before->latest;
      known.merged = std::make_shared<const Instance>(std::move(*next));
      const std::uint64_t service_revision = news ? revision : services[key.service].revision;
      list_seen(entry, before, changes, now);
      services[key.service].revision = service_revision;
    }
  } else {
    known.merged = nullptr;
    if (before) {
      ++revision;
      list_seen(entry, before, changes, now);
    }
    if (known.reports.empty()) {
      const SeenKey gone = key;
      unindex_seen(entry);
      seen.erase(gone);
      follow_move(gone, before, changes, now);
    }
  }
  if (!contacts.empty())
    reshadow_remote(contacts, std::min(source_before, source_after), changes, now);
  if (held_before != held_after) reshadow_host(label, changes, now);
}

Registry::State::SeenEntry* Registry::State::moved_to(const SeenKey& gone,
                                                      const InstancePtr& before) {
  const auto next = seen.lower_bound({gone.service, gone.host, gone.id, 0});
  if (next != seen.end() && next->first.equals_but_for_port(gone)) return &*next;
  if (!before || before->stated->identity.empty()) return nullptr;
  const std::string& identity = before->stated->identity;
  SeenEntry* const holder = shown_as({gone.service, before->id.apart(identity).label()});
  const bool same = holder != nullptr && holder->first.id == gone.id &&
                    holder->first.port == gone.port &&
                    holder->second.merged->stated->identity == identity;
  return same ? holder : nullptr;
}

/// A program that changed its port, or whose host lost its name to another one, is seen at the new
/// place first where it has several, and gets its id back when the last one has followed.
void Registry::State::follow_move(const SeenKey& gone, const InstancePtr& before, Changes& changes,
                                  Moment now) {
  SeenEntry* const entry = moved_to(gone, before);
  if (entry == nullptr) return;
  Seen& known = entry->second;
  if (!known.merged || !known.merged->renamed()) return;
  known.id_is_open = true;
  refresh_seen(*entry, changes, now);
  known.id_is_open = false;
}

void Registry::State::refresh_sightings_of(const Key& own_key, Changes& changes, Moment now) {
  std::vector<SeenKey> keys;
  if (const auto found = hidden.find(own_key); found != hidden.end())
    keys.assign(found->second.begin(), found->second.end());
  if (const SeenEntry* const holder = shown_as(own_key)) keys.push_back(holder->first);
  for (const SeenKey& key : keys)
    if (const auto found = seen.find(key); found != seen.end()) refresh_seen(*found, changes, now);
}

/// Sightings of this host, after a registration came, left or changed its port.
void Registry::State::reshadow_host(const std::string& label, Changes& changes, Moment now) {
  std::vector<SeenEntry*> here;
  const auto& listed = services[label].listed;
  for (auto it = listed.lower_bound({.foreign = true}); it != listed.end(); ++it)
    if (it->second.instance->on_this_host) here.push_back(it->second.seen);
  for (SeenEntry* const entry : here)
    reshadow_one(*entry, changes, now);
}

void Registry::State::reshadow_one(SeenEntry& entry, Changes& changes, Moment now) {
  InstancePtr& merged = entry.second.merged;
  if (!merged || shadowed(entry, *merged) == merged->shadowed) return;
  const InstancePtr before = merged;
  Instance next = *before;
  next.shadowed = !before->shadowed;
  next.revision = ++revision;
  next.latest = now;
  merged = std::make_shared<const Instance>(std::move(next));
  list(before, merged, &entry, changes, now);
}

}  // namespace outrider::registry
