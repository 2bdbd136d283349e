// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/doors/instance_json.h"
#include "agent/engines.h"

namespace outrider {

using registries::PlaceState;

EngineSlot::EngineSlot(Env& env, SourceSink& sink, EntryReader reader, RegistryConfig config,
                       std::unique_ptr<registries::Engine> engine)
    : env_(env),
      sink_(sink),
      reader_(std::move(reader)),
      config_(std::move(config)),
      engine_(std::move(engine)),
      since_(env.now()),
      reports_(env, kReportsPerTurn, kReportsWaitingMax) {}

void EngineSlot::start() {
  started_ = true;
  if (engine_) engine_->start(*this);
}

bool EngineSlot::is_settled() const {
  return !engine_ || (started_ && engine_->is_settled() && reports_.waiting() == 0);
}

std::set<std::string> EngineSlot::retire(bool has_successor) {
  std::set<std::string> keys = std::exchange(inherited_, {});
  for (auto& [name, place] : places_) {
    for (const auto& [key, known] : place.keys)
      keys.insert(key);
    place.ask.reset();
  }
  places_.clear();
  reports_.clear();
  retired_ = true;
  for (const std::string& key : keys)
    if (has_successor)
      sink_.on_stale(key, {.grace = grace(), .reason = "its configuration has changed"});
    else
      sink_.on_gone(key);
  return keys;
}

void EngineSlot::on_listed(const std::string& name, std::vector<registries::Entry> entries) {
  if (!retired_) take_list(name, std::move(entries), {});
}

void EngineSlot::on_listed_in_part(const std::string& name, std::vector<registries::Entry> entries,
                                   std::set<std::string> kept) {
  if (!retired_) take_list(name, std::move(entries), std::move(kept));
}

void EngineSlot::take_list(const std::string& name, std::vector<registries::Entry> entries,
                           std::set<std::string> kept) {
  reports_.add([this, name, entries = std::move(entries), kept = std::move(kept),
                rest = std::optional<Rest>()]() mutable {
    if (rest) return report_next(*rest);
    rest = compare(name, std::move(entries), kept);
    kept.clear();
    return rest->empty();
  });
}

/// What a list says beyond what was known. What is kept counts as listed, but is not seen again.
EngineSlot::Rest EngineSlot::compare(const std::string& name,
                                     std::vector<registries::Entry> entries,
                                     const std::set<std::string>& kept) {
  Place& place = places_[name];
  Keys listed(kept.begin(), kept.end());
  listed.reserve(kept.size() + entries.size());
  for (const registries::Entry& entry : entries)
    listed.insert(entry.key);
  ListTrust::List list{.known = place.keys.size(), .listed = listed.size()};
  for (const auto& [key, known] : place.keys)
    list.missing += listed.contains(key) ? 0 : 1;
  list.service_emptied = is_emptied(place, listed);
  const bool believed = !is_remote() || place.trust.believes(list, env_.now());
  Rest rest{.place = name,
            .stale = {},
            .gone = {},
            .how = {.grace = grace(), .reason = "it is missing in a list that is not believed yet"},
            .seen = {}};
  for (const auto& [key, known] : place.keys)
    if (!listed.contains(key)) (believed || known.leaving ? rest.gone : rest.stale).push_back(key);
  report_missing(name, list, believed, kept.size());
  ask_again(name, place);
  for (const std::string& key : std::exchange(inherited_, {}))
    if (!listed.contains(key)) rest.gone.push_back(key);
  rest.seen = std::move(entries);
  return rest;
}

bool EngineSlot::report_next(Rest& rest) {
  std::size_t at = rest.next++;
  if (at < rest.stale.size()) {
    sink_.on_stale(rest.stale[at], rest.how);
  } else if (at -= rest.stale.size(); at < rest.gone.size()) {
    places_[rest.place].keys.erase(rest.gone[at]);
    sink_.on_gone(rest.gone[at]);
  } else {
    see(std::move(rest.seen[at - rest.gone.size()]));
  }
  if (!rest.empty()) return false;
  if (rest.leaves) places_.erase(rest.place);
  return true;
}

/// Also what is believed, beside entries that could not be listed: people have to know of both.
void EngineSlot::report_missing(const std::string& place, const ListTrust::List& list,
                                bool believed, std::size_t kept) {
  if (believed && (kept == 0 || list.missing == 0)) return;
  std::string reason =
      std::to_string(list.missing) + " of " + std::to_string(list.known) + " entries are missing";
  if (kept > 0) reason += "; " + std::to_string(kept) + " cannot be read";
  env_.log.record(believed ? LogEvent::source_changed : LogEvent::source_failed,
                  {{"source", to_string(source())},
                   {"peer", place},
                   {"state", believed ? "believed" : "doubted"},
                   {"reason", reason}});
}

/// Whether nothing is left of a service that had two entries or more.
bool EngineSlot::is_emptied(const Place& place, const Keys& listed) {
  std::map<std::string_view, std::pair<std::size_t, std::size_t>> services;  // known, listed
  for (const auto& [key, known] : place.keys) {
    auto& [before, left] = services[known.service];
    ++before;
    left += listed.contains(key) ? 1 : 0;
  }
  return std::ranges::any_of(
      services, [](const auto& each) { return each.second.first >= 2 && each.second.second == 0; });
}

/// Lists again when the doubt says so.
void EngineSlot::ask_again(const std::string& name, Place& place) {
  const auto due = place.trust.ask_at();
  if (!due) return place.ask.reset();
  place.ask = env_.timers.at(std::max(*due, env_.now()), [this, name] {
    places_[name].ask.reset();
    engine_->refresh();
  });
}

void EngineSlot::on_sighting(registries::Entry entry) {
  if (retired_) return;
  reports_.add([this, entry = std::move(entry)]() mutable {
    see(std::move(entry));
    return true;
  });
}

void EngineSlot::see(registries::Entry entry) {
  auto& keys = places_[entry.place].keys;
  const std::string key = entry.key;
  Known known{.service = entry.service, .leaving = entry.health == Health::draining};
  const registry::Moment now{env_.now(), env_.clock.wall()};
  auto sighting = to_sighting(std::move(entry), reader_, now);
  if (sighting) {
    keys[key] = std::move(known);
    return sink_.on_seen(std::move(*sighting));
  }
  ++unusable_;
  // It may have been an instance before.
  if (keys.erase(key) > 0) sink_.on_gone(key);
}

void EngineSlot::on_lost(const std::string& place, const std::string& key) {
  if (retired_) return;
  reports_.add([this, place, key] {
    if (places_[place].keys.erase(key) > 0) sink_.on_gone(key);
    return true;
  });
}

void EngineSlot::on_state(const std::string& place, PlaceState state, const std::string& reason) {
  if (retired_) return;
  const std::uint64_t number = ++states_;
  ShownState& shown =
      shown_.try_emplace(place, ShownState{.reason = {}, .since = since_}).first->second;
  shown.newest = number;
  shown.settling = state == PlaceState::current;
  if (shown.settling)
    return reports_.add([this, place, reason, number] {
      // Not if another state came meanwhile.
      const auto found = shown_.find(place);
      if (found != shown_.end() && found->second.newest == number)
        show_state(place, PlaceState::current, reason);
      return true;
    });
  show_state(place, state, reason);
  if (state == PlaceState::gone) shown_.erase(place);
  if (state == PlaceState::connecting) return;
  reports_.add([this, place, state, reason, rest = std::optional<Rest>()]() mutable {
    if (rest) return report_next(*rest);
    rest = let_go(place, state, reason);
    return rest->empty();
  });
}

void EngineSlot::show_state(const std::string& place, PlaceState state, const std::string& reason) {
  ShownState& shown = shown_[place];
  if (shown.state != state) shown.since = env_.now();
  shown.state = state;
  shown.reason = reason;
  shown.settling = false;
  // Agents of this host come and go.
  const bool failed = state == PlaceState::behind && is_remote();
  env_.log.record(failed ? LogEvent::source_failed : LogEvent::source_changed,
                  {{"source", to_string(source())},
                   {"peer", place},
                   {"state", to_string(state)},
                   {"reason", reason}});
}

PlaceState EngineSlot::shown_state(const std::string& place, PlaceState state) const {
  const auto found = shown_.find(place);
  return found != shown_.end() && found->second.settling ? found->second.state : state;
}

std::vector<registries::PlaceStatus> EngineSlot::shown_places() const {
  auto places = engine_ ? engine_->places() : std::vector<registries::PlaceStatus>();
  for (registries::PlaceStatus& status : places)
    if (const auto found = shown_.find(status.place);
        found != shown_.end() && found->second.settling) {
      status.state = found->second.state;
      status.reason = found->second.reason;
      status.since = found->second.since;
    }
  return places;
}

/// The place does not answer: its entries are served for a while.
EngineSlot::Rest EngineSlot::let_go(const std::string& name, PlaceState state,
                                    const std::string& reason) {
  Rest rest{.place = name,
            .stale = {},
            .gone = {},
            .how = {.grace = config_.keep, .reason = reason},
            .seen = {},
            .leaves = state == PlaceState::gone};
  const auto found = places_.find(name);
  if (found == places_.end()) return rest;
  for (const auto& [key, known] : found->second.keys)
    (!known.leaving && config_.keep > Duration::zero() ? rest.stale : rest.gone).push_back(key);
  if (rest.empty() && rest.leaves) places_.erase(found);
  return rest;
}

void EngineSlot::on_restarted(const std::string& place, const std::string& reason) {
  if (retired_) return;
  reports_.add([this, place] {
    places_[place].trust.on_restarted(env_.now(), config_.ttl());
    return true;
  });
  env_.log.record(LogEvent::source_failed, {{"source", to_string(source())},
                                            {"peer", place},
                                            {"state", "restarted"},
                                            {"reason", reason}});
}

void EngineSlot::on_conflict(const std::string& id, const std::string& key,
                             const std::string& holder) {
  if (retired_) return;
  if (holder.empty()) {
    conflicts_.erase(key);
    return;
  }
  conflicts_[key] = {id, holder};
  env_.log.record(LogEvent::source_failed, {{"source", to_string(source())},
                                            {"peer", key},
                                            {"state", "conflict"},
                                            {"reason", id + ": its key is held by " + holder}});
}

void EngineSlot::on_claim(const std::string& name, bool held, const std::string& reason) {
  if (!retired_ && on_claim_) on_claim_(source(), name, held, reason);
}

void EngineSlot::add_written(const std::string& id,
                             std::vector<doors::WrittenPlace>& places) const {
  if (!publishes() || !is_remote()) return;
  for (registries::WrittenKey& key : engine_->keys_of(id)) {
    places.push_back({.engine = to_string(source()),
                      .key = std::move(key.where.key),
                      .endpoint = std::move(key.where.endpoint),
                      .lease = key.where.lease,
                      .revision = key.where.revision,
                      .lease_time = key.lease_time,
                      .state = to_string(key.state),
                      .reason = std::move(key.reason)});
    // While nothing refuses it, what keeps it waiting is the registry as a whole.
    if (doors::WrittenPlace& place = places.back();
        key.state == registries::WrittenKey::State::waiting && place.reason.empty())
      for (const registries::PlaceStatus& status : engine_->places())
        place.reason = status.reason;
  }
}

void EngineSlot::write(json::Writer& out) const {
  out.member("kind", to_string(source())).member("publish", config_.publishes());
  out.member("keep", config_.keep == Duration::max() ? std::string("forever")
                                                     : format_duration(config_.keep));
  out.member("unavailable", engine_ ? "" : "this build has no client for it");
  out.member("unusable", unusable_);
  out.key("places").begin_array();
  const WallTime wall = env_.clock.wall();
  for (const registries::PlaceStatus& status : shown_places()) {
    const auto known = places_.find(status.place);
    const bool doubts = known != places_.end() && known->second.trust.doubts();
    out.begin_object().member("place", status.place).member("endpoint", status.endpoint);
    out.member("state", to_string(status.state)).member("reason", status.reason);
    out.member("since", format_wall_time(wall - (env_.now() - status.since)));
    out.member("last_error", status.last_error);
    out.member("read", static_cast<std::uint64_t>(status.read));
    out.member("skipped", static_cast<std::uint64_t>(status.skipped));
    out.member("written", static_cast<std::uint64_t>(status.written));
    out.member("lease", doors::lease_text(status.lease));
    if (status.lease_time) doors::write_lease_time(out, *status.lease_time);
    out.member("revision", status.revision);
    out.member("doubted", doubts).key("warnings").begin_array();
    for (const std::string& warning : status.warnings)
      out.value(warning);
    out.end_array().end_object();
  }
  out.end_array().key("conflicts").begin_array();
  for (const auto& [key, conflict] : conflicts_)
    out.begin_object()
        .member("instance", conflict.id)
        .member("key", key)
        .member("holder", conflict.holder)
        .end_object();
  out.end_array();
}

void EngineSlot::write_metrics(doors::Metrics& out) const {
  for (const registries::PlaceStatus& status : shown_places()) {
    const doors::Metrics::Labels labels{{"registry", to_string(source())}, {"place", status.place}};
    out.gauge("outrider_registry_current", "1 if what is known of the registry is complete",
              status.state == PlaceState::current ? 1 : 0, labels);
    out.gauge("outrider_registry_entries", "entries read from the registry",
              static_cast<double>(status.read), labels);
    out.gauge("outrider_registry_skipped", "entries that are unreadable or beyond a limit",
              static_cast<double>(status.skipped), labels);
    out.gauge("outrider_registry_written", "keys of this agent in the registry",
              static_cast<double>(status.written), labels);
    if (status.lease_time)
      out.gauge("outrider_registry_lease_seconds", "until the lease of this agent's keys ends",
                std::chrono::duration<double>(status.lease_time->left).count(), labels);
    out.gauge("outrider_registry_conflicts", "registrations whose key another program holds",
              static_cast<double>(conflicts_.size()),
              {{"registry", to_string(source())}, {"place", status.place}});
  }
}

}  // namespace outrider
