// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <tuple>

#include "agent/registry/registry_state.h"

namespace outrider::registry {

Changes Registry::see(Sighting sighting, Moment now) {
  Changes changes;
  const std::string place = sighting.place.key;
  const State::Key key = State::key_of(sighting.service, sighting.id);
  auto found = state_->place_to_seen.find(place);
  if (found == state_->place_to_seen.end()) {
    if (state_->place_to_seen.size() >= kSightingsMax) {
      ++state_->refused;
      return state_->finish({});
    }
  } else if (found->second != key) {
    changes = lose(place, now);  // the same record now describes another instance
  }
  auto& reports = state_->seen[key].reports;
  if (!reports.contains(place) && reports.size() >= kPlacesMax) {
    ++state_->refused;
    return state_->finish(std::move(changes));
  }
  if (const auto known = reports.find(place); known != reports.end())
    state_->forget_grace(known->second);
  state_->place_to_seen[place] = key;
  if (sighting.addresses.size() > kAddressesSeenMax) sighting.addresses.resize(kAddressesSeenMax);
  reports[place] = {std::move(sighting), std::nullopt};
  state_->refresh_seen(key, changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::lose(std::string_view place_key, Moment now) {
  Changes changes;
  const auto found = state_->place_to_seen.find(std::string(place_key));
  if (found == state_->place_to_seen.end()) return state_->finish({});
  const State::Key key = found->second;
  state_->place_to_seen.erase(found);
  auto& entry = state_->seen[key];
  const auto report = entry.reports.find(std::string(place_key));
  state_->forget_grace(report->second);
  entry.reports.erase(report);
  if (entry.reports.empty() && entry.merged)
    state_->services[entry.merged->service.label()].last_note =
        entry.merged->id.text() + " left at " + clock_text(now.wall);
  state_->refresh_seen(key, changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::go_stale(std::string_view place_key, Moment now) {
  Changes changes;
  const auto found = state_->place_to_seen.find(std::string(place_key));
  if (found == state_->place_to_seen.end()) return state_->finish({});
  State::Report& report = state_->seen[found->second].reports[found->first];
  if (!report.stale_until) {
    report.stale_until = now.at + kStaleGrace;
    state_->stale_due.emplace(*report.stale_until, found->first);
    state_->refresh_seen(found->second, changes, now);
  }
  return state_->finish(std::move(changes));
}

bool Registry::has_place(std::string_view place_key) const {
  return state_->place_to_seen.contains(std::string(place_key));
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

}  // namespace

/// One instance from all reports: the most detailed one describes it, addresses are joined.
std::optional<Instance> Registry::State::merge(const Key& key, const Seen& entry,
                                               Moment now) const {
  if (entry.reports.empty() || own_keys.contains(key)) return std::nullopt;
  const Report* best = nullptr;
  for (const auto& [name, report] : entry.reports) {
    const auto better = [&report = report, best] {
      if (report.stale_until.has_value() != best->stale_until.has_value())
        return !report.stale_until.has_value();
      const bool nearer = report.sighting.source < best->sighting.source;
      return nearer || (report.sighting.source == best->sighting.source &&
                        report.sighting.detailed && !best->sighting.detailed);
    };
    if (best == nullptr || better()) best = &report;
  }
  const Sighting& s = best->sighting;
  Instance out{.id = s.id, .service = s.service};
  out.description() = s.description();
  out.health = s.health;
  out.source = s.source;
  out.maintenance = s.health == Health::maintenance;
  out.maintenance_reason = s.maintenance_reason;
  out.checks = checks_of(s, entry.merged);
  out.exposure = s.exposure;
  out.scope = s.scope;
  out.stale = best->stale_until.has_value();
  out.addresses = s.addresses;
  out.places.push_back(s.place);
  for (const auto& [name, report] : entry.reports) {
    out.on_this_host = out.on_this_host || report.sighting.on_this_host;
    if (&report == best) continue;
    out.places.push_back(report.sighting.place);
    // Another agent of this host knows its addresses, but does not report FARP.
    if (!out.farp.enabled && !report.stale_until) out.farp = report.sighting.farp;
    if (s.source == Source::host) continue;
    for (const PlacedAddress& address : report.sighting.addresses)
      if (std::find(out.addresses.begin(), out.addresses.end(), address) == out.addresses.end() &&
          out.addresses.size() < kAddressesSeenMax && !report.stale_until)
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

/// Whether a newer instance of the service, or a registration, has the same host and port.
bool Registry::State::shadowed(const Key& key, const Instance& instance) const {
  const auto service = services.find(instance.service.label());
  if (instance.on_this_host && instance.port != 0 && service != services.end())
    for (const auto& [name, other] : service->second.listed) {
      if (!other->own()) break;  // own ones come first
      if (other->port == instance.port) return true;
    }
  const std::optional<Spot> spot = spot_of(instance);
  const auto claims = spot ? rivals.find(*spot) : rivals.end();
  if (claims == rivals.end()) return false;
  for (const Key& rival : claims->second) {
    if (rival == key) continue;
    const InstancePtr& other = seen.at(rival).merged;
    if (!other) continue;
    if (std::tie(other->registered.at, other->id) > std::tie(instance.registered.at, instance.id))
      return true;
  }
  return false;
}

namespace {

/// Equal except for what a mere refresh changes.
bool same_sighting(const Instance& a, const Instance& b) {
  return a.description() == b.description() && a.addresses == b.addresses && a.health == b.health &&
         a.source == b.source && a.on_this_host == b.on_this_host && a.stale == b.stale &&
         a.shadowed == b.shadowed && a.places.size() == b.places.size() && a.scope == b.scope &&
         a.exposure == b.exposure && same_checks(a.checks, b.checks) &&
         a.maintenance_reason == b.maintenance_reason && a.service.text() == b.service.text();
}

/// Expiry times are part of what DNS answers (TTLs); a refresh moves them without being news.
bool same_expiry(const Instance& a, const Instance& b) {
  return std::equal(a.places.begin(), a.places.end(), b.places.begin(), b.places.end(),
                    [](const SightedPlace& x, const SightedPlace& y) {
                      return x.key == y.key && x.expires == y.expires;
                    });
}

}  // namespace

/// Updates the listed instance from its reports.
void Registry::State::refresh_seen(const Key& key, Changes& changes, Moment now) {
  const auto found = seen.find(key);
  if (found == seen.end()) return;
  Seen& entry = found->second;
  const InstancePtr before = entry.merged;
  std::optional<Instance> next = merge(key, entry, now);
  const std::optional<Spot> spot_before = before ? spot_of(*before) : std::nullopt;
  const std::optional<Spot> spot_after = next ? spot_of(*next) : std::nullopt;
  if (spot_before != spot_after) {
    if (spot_before) {
      std::set<Key>& claims = rivals[*spot_before];
      claims.erase(key);
      if (claims.empty()) rivals.erase(*spot_before);
    }
    if (spot_after) rivals[*spot_after].insert(key);
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
    const bool empty = entry.reports.empty();
    entry.merged = nullptr;
    if (before) {
      ++revision;
      list(before, nullptr, changes, now);
    }
    if (empty) seen.erase(found);
  }
  if (spot_before && spot_before != spot_after) reshadow(*spot_before, changes, now);
  if (spot_after) reshadow(*spot_after, changes, now);
}

/// Instances that share a host and port with one that came or left.
void Registry::State::reshadow(const Spot& spot, Changes& changes, Moment now) {
  const auto claims = rivals.find(spot);
  if (claims == rivals.end()) return;
  for (const Key& key : claims->second)
    reshadow_one(key, changes, now);
}

/// Sightings of this host, after a registration came, left or changed its port.
void Registry::State::reshadow_host(const std::string& label, Changes& changes, Moment now) {
  std::vector<Key> keys;
  const auto& listed = services[label].listed;
  for (auto it = listed.lower_bound({.foreign = true}); it != listed.end(); ++it)
    if (it->second->on_this_host) keys.push_back(key_of(*it->second));
  for (const Key& key : keys)
    reshadow_one(key, changes, now);
}

void Registry::State::reshadow_one(const Key& key, Changes& changes, Moment now) {
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
