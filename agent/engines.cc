// SPDX-License-Identifier: Apache-2.0
#include "agent/engines.h"

#include <set>

namespace outrider {
namespace {

/// A check that another agent runs: what people are shown of it. It has no target here.
registry::CheckState to_registry(const registries::Check& check, registry::Moment now) {
  registry::CheckState state;
  state.spec.id = check.id;
  state.spec.name = check.name;
  if (auto kind = kind_named<registry::CheckSpec::Kind>(check.kind))
    state.spec.kind = std::move(*kind);
  state.health = check.health;
  state.output = check.output.substr(0, registry::kOutputBytesMax);
  state.since = state.renewed = now;
  return state;
}

/// Nothing for names that are not valid here: the sibling has another version.
std::optional<registry::Sighting> to_registry(registries::Entry entry, registry::Moment now) {
  auto name = registry::ServiceName::parse(entry.service);
  auto id = registry::InstanceId::from_foreign(entry.id);
  if (!name || !id) return std::nullopt;
  registry::Sighting out{.place = {.key = entry.key, .engine = "host", .host = entry.place},
                         .service = std::move(*name),
                         .id = std::move(*id)};
  out.version = std::move(entry.version);
  out.port = entry.port;
  out.protocol = entry.protocol.empty() ? "http" : std::move(entry.protocol);
  out.tags = std::move(entry.tags);
  out.subtypes = std::move(entry.subtypes);
  out.metadata = std::move(entry.metadata);
  out.weight = entry.weight;
  for (const IpAddress& address : entry.addresses)
    out.addresses.push_back({address, 0});
  out.health = entry.health;
  out.maintenance_reason = std::move(entry.maintenance_reason);
  for (const registries::Check& check : entry.checks)
    out.checks.push_back(to_registry(check, now));
  out.exposure =
      registry::Exposure{.limit = std::move(entry.limit), .advice = std::move(entry.advice)};
  out.scope = entry.host_only ? registry::Scope::host : registry::Scope::lan;
  out.on_this_host = out.from_this_host = entry.on_this_host;
  out.source = registry::Source::host;
  return out;
}

bool is_leaving(const registries::Entry& entry) {
  return entry.health == Health::draining;
}

}  // namespace

void Engines::start() {
  for (const auto& engine : engines_)
    engine->start(*this);
}

void Engines::on_listed(const std::string& place, std::vector<registries::Entry> entries) {
  Keys& known = places_[place];
  std::set<std::string> listed;
  for (const registries::Entry& entry : entries)
    listed.insert(entry.key);
  for (auto at = known.begin(); at != known.end();) {
    if (listed.contains(at->first)) {
      ++at;
      continue;
    }
    sink_.on_gone(at->first);
    at = known.erase(at);
  }
  for (registries::Entry& entry : entries)
    on_sighting(std::move(entry));
}

void Engines::on_sighting(registries::Entry entry) {
  places_[entry.place][entry.key] = is_leaving(entry);
  const registry::Moment now{env_.now(), env_.clock.wall()};
  if (auto sighting = to_registry(std::move(entry), now)) sink_.on_seen(std::move(*sighting));
}

void Engines::on_lost(const std::string& place, const std::string& key) {
  if (places_[place].erase(key) > 0) sink_.on_gone(key);
}

void Engines::on_state(const std::string& place, registries::PlaceState state,
                       const std::string& reason) {
  using registries::PlaceState;
  env_.log.record(
      LogEvent::source_changed,
      {{"source", "host"}, {"peer", place}, {"state", to_string(state)}, {"reason", reason}});
  const auto found = places_.find(place);
  if (found == places_.end() || state == PlaceState::current || state == PlaceState::connecting)
    return;
  for (auto at = found->second.begin(); at != found->second.end();) {
    if (!at->second) {
      sink_.on_stale(at->first);
      ++at;
      continue;
    }
    sink_.on_gone(at->first);
    at = found->second.erase(at);
  }
  if (state == PlaceState::gone) places_.erase(found);
}

void Engines::write_status(json::Writer& out) const {
  for (const auto& engine : engines_)
    engine->write_status(out);
}

}  // namespace outrider
