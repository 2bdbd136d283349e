// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/registry.h"

#include <algorithm>

#include "agent/registry/aliases.h"
#include "agent/registry/check_states.h"
#include "agent/registry/registry_state.h"
#include "agent/registry/served.h"
#include "base/text.h"
#include "base/utf8.h"

namespace outrider::registry {

std::string clock_text(WallTime wall) {
  const std::string whole = format_wall_time(wall);  // 2026-01-31T09:30:00.123Z
  return whole.substr(11, 8) + 'Z';
}
namespace {

Health from_checks(CheckHealth health) {
  switch (health) {
    case CheckHealth::passing:
      return Health::passing;
    case CheckHealth::warning:
      return Health::warning;
    case CheckHealth::starting:
      return Health::starting;
    case CheckHealth::critical:
      return Health::critical;
  }
  OUTRIDER_UNREACHABLE();
}

CheckHealth worst_check(const Instance& instance) {
  CheckHealth worst = CheckHealth::passing;
  for (const CheckState& check : instance.checks)
    worst = std::max(worst, check.health);
  return worst;
}

/// Maintenance (set by an operator) wins over draining, and both over the checks. Those of `node`
/// count like the instance's own.
Health overall(const Instance& instance, const Instance& node) {
  if (instance.maintenance || node.maintenance) return Health::maintenance;
  if (instance.draining) return Health::draining;
  return from_checks(std::max(worst_check(instance), worst_check(node)));
}

enum class Kind : std::uint8_t { probed, heartbeat };

/// When the registration is to be dropped: the earliest time of its critical checks of a kind.
/// Maintenance and draining do not keep a program alive.
std::optional<TimePoint> drop_due(const Instance& instance, Kind kind) {
  if (instance.dropped) return std::nullopt;
  std::optional<TimePoint> due;
  for (const CheckState& check : instance.checks) {
    const Duration after = check.spec.deregister_critical_after;
    const bool heartbeat = std::holds_alternative<TtlCheck>(check.spec.kind);
    if (check.health != CheckHealth::critical || after == Duration::zero() ||
        heartbeat != (kind == Kind::heartbeat))
      continue;
    due = std::min(due.value_or(TimePoint::max()), check.since.at + after);
  }
  return due;
}

TimePoint critical_since(const Instance& instance) {
  TimePoint since = TimePoint::max();
  for (const CheckState& check : instance.checks)
    if (check.health == CheckHealth::critical) since = std::min(since, check.since.at);
  return since;
}

/// What the note of a change quotes of a check's output.
std::string quoted(std::string_view output) {
  constexpr std::size_t kMost = 80;
  return std::string(cut_text(first_line(output), kMost));
}

}  // namespace

const char* to_string(RegistryError error) {
  switch (error) {
    case RegistryError::unknown_instance:
      return "unknown instance";
    case RegistryError::unknown_check:
      return "unknown check";
    case RegistryError::too_many:
      return "too many registrations";
    case RegistryError::duplicate_id:
      return "another instance of this service has the same DNS label";
    case RegistryError::not_ttl:
      return "not a heartbeat check";
    case RegistryError::alias_ring:
      return "its aliases lead back to itself: none of them could ever pass";
    case RegistryError::too_large:
      return "metadata and tags do not fit into a TXT record (1,100 octets), so that other hosts "
             "would not see all of them: shorten them, or register the service for this host only "
             "(scope \"host\", in the agent's own API)";
  }
  OUTRIDER_UNREACHABLE();
}

void Changes::append(Changes more) {
  revision = std::max(revision, more.revision);
  std::move(more.list.begin(), more.list.end(), std::back_inserter(list));
  std::move(more.ended.begin(), more.ended.end(), std::back_inserter(ended));
  std::move(more.forgotten.begin(), more.forgotten.end(), std::back_inserter(forgotten));
  if (more.node == nullptr) return;
  if (node == nullptr) node_before = std::move(more.node_before);
  node = std::move(more.node);
}

// --- listing ---------------------------------------------------------------------------------

/// The one place where what is listed changes. `before` and `after` are the listed instances; null
/// where there is none. `seen_as`: of a foreign instance.
void Registry::State::list(const InstancePtr& before, InstancePtr after, SeenEntry* seen_as,
                           Changes& changes, Moment now) {
  const Instance& any = after ? *after : *before;
  Service& service = services[any.service.label()];
  service.revision = revision;
  if (const std::uint16_t port = before ? held_port(*before) : 0; port != 0)
    if (--service.ports_here[port] == 0) service.ports_here.erase(port);
  if (const std::uint16_t port = after ? held_port(*after) : 0; port != 0)
    ++service.ports_here[port];
  const bool known = !service.listed.empty() || memory.contains(any.service.label());
  if (after) {
    listed_count += before ? 0 : 1;
    service_count += service.listed.empty() ? 1 : 0;
    recall(any.service.label());
    service.listed[list_key(any)] = {after, seen_as};
  } else {
    --listed_count;
    service.listed.erase(list_key(any));
    if (service.listed.empty()) {
      --service_count;
      remember(any.service.label(), changes, now);
    }
  }
  changes.list.push_back({.before = before,
                          .after = std::move(after),
                          .note_before = std::exchange(service.listed_note, service.last_note),
                          .known_before = known});
}

/// The last instance of a service left. If too many services are remembered, the oldest is
/// forgotten.
void Registry::State::remember(const std::string& label, Changes& changes, Moment now) {
  if (memory.size() >= kNamesRememberedMax) forget(memory_due.begin()->second, changes);
  remember_until(now.at + kNameMemory, label);
}

void Registry::State::remember_until(TimePoint end, const std::string& label) {
  recall(label);
  memory[label] = end;
  memory_due.emplace(end, label);
}

bool Registry::State::has_own(const std::string& label) const {
  const auto first = own_keys.lower_bound({label, {}});
  return first != own_keys.end() && first->first.service == label;
}

void Registry::State::forget(const std::string& label, Changes& changes) {
  Forgotten gone{.label = label, .note = services[label].listed_note};
  recall(gone.label);
  services.erase(gone.label);
  changes.forgotten.push_back(std::move(gone));
}

void Registry::State::recall(const std::string& label) {
  const auto found = memory.find(label);
  if (found == memory.end()) return;
  memory_due.erase({found->second, label});
  memory.erase(found);
}

/// What has happened to a registration; note() and why() quote it once it is listed.
void Registry::State::record_note(const Instance& instance, const std::string& what, Moment now) {
  if (instance.id.text() == kNodeId) return;
  services[instance.service.label()].last_note =
      instance.id.text() + ' ' + what + " at " + clock_text(now.wall);
}

// --- registrations ---------------------------------------------------------------------------

std::vector<std::string> Registry::State::alias_targets_of(const std::string& id) const {
  const auto named = short_ids.find(id);
  const auto found = own.find(own.contains(id) || named == short_ids.end() ? id : named->second);
  return found == own.end() ? std::vector<std::string>() : alias_targets(*found->second);
}

bool Registry::State::follows_itself(const Instance& next) const {
  const auto its = alias_targets(next);
  if (its.empty()) return false;
  const std::string& id = next.id.text();
  return !alias_ring(id, [&](const std::string& other) {
            return other == id ? its : alias_targets_of(other);
          }).empty();
}

/// The indexes that answer questions without a walk over all registrations.
void Registry::State::index_own(const Instance& instance) {
  const std::string& id = instance.id.text();
  for (const CheckState& check : instance.checks)
    check_ids.emplace(check.spec.id, id);
  if (const auto due = drop_due(instance, Kind::probed)) probes_due.emplace(*due, id);
  if (const auto due = drop_due(instance, Kind::heartbeat)) heartbeats_due.emplace(*due, id);
  if (instance.dropped) dropped.emplace(critical_since(instance), id);
}

void Registry::State::unindex_own(const Instance& instance) {
  const std::string& id = instance.id.text();
  for (const CheckState& check : instance.checks)
    check_ids.erase({check.spec.id, id});
  if (const auto due = drop_due(instance, Kind::probed)) probes_due.erase({*due, id});
  if (const auto due = drop_due(instance, Kind::heartbeat)) heartbeats_due.erase({*due, id});
  if (instance.dropped) dropped.erase({critical_since(instance), id});
}

/// Stores a registration and lists it unless it is dropped; hides or shows a sighting of it.
void Registry::State::commit_own(const InstancePtr& before, Instance after, Changes& changes,
                                 Moment now) {
  if (before == node) return commit_node(std::move(after), changes, now);
  const InstancePtr stored = store_own(before, std::move(after), now);
  const bool was_listed = before && !before->dropped;
  const bool moved = !before || before->port != stored->port;
  const bool turned = was_listed == stored->dropped;
  // The sighting of our own announcement is removed first, so that the instance is listed once, and
  // another host's instance with the same id takes another one.
  if (!stored->dropped && (moved || turned || before->addresses != stored->addresses))
    refresh_sightings_of(key_of(*stored), changes, now);
  if (!was_listed && stored->dropped) {
    // Notes are about what is listed: otherwise DNS would quote this one at its next rebuild only.
    Service& service = services[stored->service.label()];
    service.last_note = service.listed_note;
    return;
  }
  list(was_listed ? before : nullptr, stored->dropped ? nullptr : stored, nullptr, changes, now);
  if (stored->dropped) {
    changes.list.back().dropped = stored;
    refresh_sightings_of(key_of(*stored), changes, now);
  }
  const bool usable_before = before && usable(before->health);
  if (moved || turned || usable_before != usable(stored->health))
    reshadow_host(stored->service.label(), changes, now);
}

/// Gives it its health and a revision, and updates the indexes.
InstancePtr Registry::State::store_own(const InstancePtr& before, Instance after, Moment now) {
  after.health = overall(after, *node);
  // Maintenance and draining say nothing about the program: what was dropped stays so until its
  // checks say that it is back.
  if (worst_check(after) != CheckHealth::critical) after.dropped = false;
  if (usable(after.health) && (!before || !usable(before->health))) after.up = now;
  ++revision;
  after.latest = now;
  after.revision = revision;
  if (!before) after.created_revision = revision;
  auto stored = std::make_shared<const Instance>(std::move(after));
  const std::string& id = stored->id.text();
  if (before) unindex_own(*before);
  index_own(*stored);
  own[id] = stored;
  own_keys.insert_or_assign(key_of(*stored), id);
  if (before && before->short_id != stored->short_id) short_ids.erase(before->short_id);
  if (!stored->short_id.empty()) short_ids.insert_or_assign(stored->short_id, id);
  return stored;
}

/// Stores what is registered for this host, and follows it with every registration whose health it
/// decides.
void Registry::State::commit_node(Instance after, Changes& changes, Moment now) {
  after.health = overall(after, after);
  after.draining = false;
  after.dropped = true;  // is never listed
  after.latest = now;
  after.revision = ++revision;
  const InstancePtr before = node;
  for (const CheckState& check : before->checks)
    check_ids.erase({check.spec.id, before->id.text()});
  node = std::make_shared<const Instance>(std::move(after));
  for (const CheckState& check : node->checks)
    check_ids.emplace(check.spec.id, node->id.text());
  if (!changes.node) changes.node_before = before;
  changes.node = node;
  // Consul's clients are shown the checks of the host with each of its services.
  for (const auto& [id, instance] : own)
    if (const auto service = services.find(instance->service.label()); service != services.end())
      service->second.revision = revision;
  std::vector<InstancePtr> follow;
  for (const auto& [id, instance] : own)
    if (overall(*instance, *node) != instance->health) follow.push_back(instance);
  for (const InstancePtr& instance : follow) {
    const Health health = overall(*instance, *node);
    record_note(*instance, std::string(to_string(health)) + " with its host", now);
    commit_own(instance, *instance, changes, now);
  }
}

std::uint64_t first_revision(WallTime wall) {
  const auto since = std::chrono::floor<std::chrono::microseconds>(wall.time_since_epoch());
  return static_cast<std::uint64_t>(std::max<std::int64_t>(1, since.count()));
}

Registry::Registry(HostId host, std::uint64_t revision) : state_(std::make_unique<State>()) {
  state_->host = std::move(host);
  state_->revision = state_->begun = revision;
  Instance node{.id = *InstanceId::from_foreign(kNodeId), .service = *ServiceName::parse("node")};
  node.on_this_host = node.dropped = true;
  node.health = Health::passing;
  state_->node = std::make_shared<const Instance>(std::move(node));
}
Registry::~Registry() = default;
Registry::Registry(Registry&&) noexcept = default;

namespace {

void restore(Instance& instance, const Kept& kept) {
  instance.maintenance = kept.maintenance;
  instance.maintenance_reason = kept.maintenance_reason;
  for (const Kept::Heartbeat& heartbeat : kept.heartbeats) {
    CheckState* check = find_check(instance, heartbeat.check);
    if (check == nullptr || !std::holds_alternative<TtlCheck>(check->spec.kind)) continue;
    check->health = heartbeat.health;
    check->output = heartbeat.output;
    check->renewed = heartbeat.renewed;
  }
}

/// Scope automatic resolved: host when no other host could connect.
Scope scope_of(const Instance& instance) {
  if (instance.configured_scope != Scope::automatic) return instance.configured_scope;
  const bool loopback_addresses =
      !instance.addresses.empty() &&
      std::ranges::all_of(instance.addresses,
                          [](const PlacedAddress& placed) { return placed.address.is_loopback(); });
  const bool loopback = loopback_addresses || instance.exposure->loopback_only;
  return loopback ? Scope::host : Scope::lan;
}

/// What stays when a program registers again.
void carry_over(const Instance& old, Instance& next, Moment now) {
  next.registered = old.registered;
  next.up = old.up;
  next.maintenance = old.maintenance;
  next.maintenance_reason = old.maintenance_reason;
  if (next.local_name->wanted && old.service == next.service)
    next.local_name = LocalName{true, old.local_name->name};
  next.draining = false;  // registering again means that the program wants clients
  // A dropped registration is new for the readers, and gets its whole time to recover.
  if (old.dropped)
    for (CheckState& check : next.checks)
      check.since = now;
  next.created_revision = old.created_revision;
}

}  // namespace

Result<Changes, RegistryError> Registry::put(const ServiceSpec& spec, Moment now, Exposure exposure,
                                             const Kept* kept) {
  const InstanceId id = spec.id ? *spec.id : automatic_id(spec, state_->host);
  if (id.text() == kNodeId) return put_node(spec, now, kept);
  const auto known = state_->own.find(id.text());
  const InstancePtr old = known == state_->own.end() ? nullptr : known->second;

  Changes changes;
  const bool moved = old && old->service != spec.name;  // the id goes to another service
  Instance next{.id = id, .service = spec.name};
  next.description() = spec.description();
  if (!spec.id) next.short_id = short_automatic_id(spec, state_->host).text();
  const auto giving_way = state_->in_the_way(next, old);
  if (!giving_way) return failure(giving_way.error());
  for (const IpAddress& address : spec.addresses)
    next.addresses.push_back({address, 0});
  next.configured_scope = spec.scope;
  next.exposure = std::move(exposure);
  next.local_name = LocalName{.wanted = spec.local_name, .name = {}};
  next.door = spec.door;
  next.scope = scope_of(next);
  next.on_this_host = true;
  next.checks = checks_for(spec.checks, next, old, now);
  if (state_->follows_itself(next)) return failure(RegistryError::alias_ring);
  next.registered = next.renewed = next.dirty = now;
  if (!old && kept != nullptr) restore(next, *kept);
  if (old) carry_over(*old, next, now);
  for (const std::string& one : *giving_way)
    changes.append(*remove(one, now));
  if (moved) changes.append(*remove(id.text(), now));
  state_->commit_own(moved ? nullptr : old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::put_node(const ServiceSpec& spec, Moment now, const Kept* kept) {
  Instance next = *state_->node;
  next.checks.clear();
  for (const CheckSpec& check : spec.checks)
    next.checks.push_back(new_check(check, now));
  if (kept != nullptr) restore(next, *kept);
  Changes changes;
  state_->commit_own(state_->node, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<void, RegistryError> Registry::would_take(std::span<const ServiceSpec> specs,
                                                 const std::vector<std::string>& leaving) const {
  std::map<std::string, State::Key> keys;  // of `specs`, by id text, as they would be
  std::map<std::string, std::vector<std::string>> targets;
  for (const ServiceSpec& spec : specs) {
    const InstanceId id = spec.id ? *spec.id : automatic_id(spec, state_->host);
    keys[id.text()] = State::key_of(spec.name, id);
    targets[id.text()] = alias_targets(spec);
  }
  const auto leaves = [&](const std::string& id) {
    return std::ranges::find(leaving, id) != leaving.end();
  };
  const auto stays = [&](const std::string& id, const Instance& instance) {
    return !keys.contains(id) && !state_->gives_way(instance) && !leaves(id);
  };
  if (state_->own.size() + keys.size() > kRegistrationsMax) {
    const auto staying = std::ranges::count_if(
        state_->own, [&](const auto& one) { return stays(one.first, *one.second); });
    if (static_cast<std::size_t>(staying) + keys.size() > kRegistrationsMax)
      return failure(RegistryError::too_many);
  }
  std::set<State::Key> taken;
  for (const auto& [id, key] : keys) {
    if (!taken.insert(key).second) return failure(RegistryError::duplicate_id);
    const auto named = state_->own_keys.find(key);
    const InstancePtr holder =
        named != state_->own_keys.end() ? find_exact(named->second) : InstancePtr();
    if (holder && State::key_of(*holder) == key && stays(named->second, *holder))
      return failure(RegistryError::duplicate_id);
  }
  const auto targets_of = [&](const std::string& id) {
    if (const auto found = targets.find(id); found != targets.end()) return found->second;
    return find_exact(id) && !leaves(id) ? state_->alias_targets_of(id)
                                         : std::vector<std::string>();
  };
  for (const auto& [id, its] : targets)
    if (!its.empty() && !alias_ring(id, targets_of).empty())
      return failure(RegistryError::alias_ring);
  return {};
}

Result<Changes, RegistryError> Registry::remove(std::string_view id, Moment now) {
  const InstancePtr old = find_own(id);
  if (!old || old == state_->node) return failure(RegistryError::unknown_instance);
  Changes changes;
  ++state_->revision;
  const std::string& label = old->service.label();
  state_->unindex_own(*old);
  state_->own.erase(old->id.text());
  state_->own_keys.erase(State::key_of(*old));
  state_->short_ids.erase(old->short_id);
  if (old->dropped) {
    changes.ended.push_back(old);
  } else {
    state_->record_note(*old, "deregistered", now);
    state_->list(old, nullptr, nullptr, changes, now);
  }
  // Sightings of it were hidden by the registration.
  state_->refresh_sightings_of(State::key_of(*old), changes, now);
  state_->reshadow_host(label, changes, now);
  if (!knows(label)) state_->services.erase(label);  // dropped, and forgotten since
  return state_->finish(std::move(changes));
}

namespace {

bool same_to_others(const Instance& a, const Instance& b) {
  return a.health == b.health && a.maintenance == b.maintenance && a.draining == b.draining &&
         a.maintenance_reason == b.maintenance_reason;
}

}  // namespace

Result<Changes, RegistryError> Registry::put_check(std::string_view id, const CheckSpec& check,
                                                   Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  Instance next = *old;
  if (CheckState* found = find_check(next, check.id)) {
    if (found->spec.kind != check.kind)
      *found = standing_check(check, found, {}, now);
    else
      found->spec = check;
  } else {
    if (next.checks.size() >= kChecksPerInstanceMax) return failure(RegistryError::too_many);
    next.checks.push_back(standing_check(check, nullptr, old->checks, now));
  }
  if (state_->follows_itself(next)) return failure(RegistryError::alias_ring);
  next.dirty = now;
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::remove_check(std::string_view id,
                                                      std::string_view check_id, Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  Instance next = *old;
  const auto gone = std::erase_if(
      next.checks, [&](const CheckState& check) { return check.spec.id == check_id; });
  if (gone == 0) return failure(RegistryError::unknown_check);
  next.dirty = now;
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::set_check(std::string_view id, std::string_view check_id,
                                                   CheckHealth health, std::string output,
                                                   Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  Instance next = *old;
  CheckState* check = find_check(next, check_id);
  if (check == nullptr) return failure(RegistryError::unknown_check);
  cut_text_to(output, kOutputBytesMax);
  const bool turned = check->health != health;
  if (turned) {
    check->health = health;
    check->since = now;
    // The output of an error helps people; the answer of a healthy program does not.
    const bool bad = health != CheckHealth::passing && !output.empty();
    state_->record_note(*old, to_string(health) + (bad ? ": " + quoted(output) : ""), now);
  }
  check->output = std::move(output);
  check->renewed = now;
  if (std::holds_alternative<TtlCheck>(check->spec.kind)) next.renewed = now;
  if (!turned && (old->dropped || failure_of(*old) == failure_of(next))) {
    // Only output and timestamps are new, and no answer quotes them: that is not a change.
    auto stored = std::make_shared<const Instance>(std::move(next));
    if (old == state_->node) {
      state_->node = std::move(stored);
      return state_->finish({});
    }
    if (!stored->dropped)
      state_->services[stored->service.label()].listed[State::list_key(*stored)].instance = stored;
    state_->own[stored->id.text()] = std::move(stored);
    return state_->finish({});
  }
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::set_maintenance(std::string_view id, bool on,
                                                         std::string reason, Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  Instance next = *old;
  next.maintenance = on;
  next.maintenance_reason = on ? std::move(reason) : std::string();
  if (same_to_others(*old, next)) return state_->finish({});
  state_->record_note(*old, on ? "in maintenance" : "out of maintenance", now);
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::set_exposure(std::string_view id, Exposure exposure,
                                                      Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  if (old->exposure == exposure) return state_->finish({});
  Instance next = *old;
  next.exposure = std::move(exposure);
  next.scope = scope_of(next);
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::set_draining(std::string_view id, bool on, Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  Instance next = *old;
  next.draining = on;
  if (same_to_others(*old, next)) return state_->finish({});
  state_->record_note(*old, on ? "draining" : "back from draining", now);
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

Changes Registry::drain_all(Moment now) {
  Changes changes;
  for (const InstancePtr& instance : own())
    changes.append(*set_draining(instance->id.text(), true, now));
  return state_->finish(std::move(changes));
}

}  // namespace outrider::registry
