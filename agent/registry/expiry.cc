// SPDX-License-Identifier: Apache-2.0
// What time alone does to registrations, sightings and names; and which registrations that were
// dropped give way to others.
#include <algorithm>

#include "agent/registry/dropped.h"
#include "agent/registry/registry.h"
#include "agent/registry/registry_state.h"
#include "base/text.h"

namespace outrider::registry {

std::string why_dropped(const Instance& instance) {
  const auto check = std::ranges::find(instance.checks, CheckHealth::critical, &CheckState::health);
  if (check == instance.checks.end()) return "critical for too long";
  const Duration after = check->spec.deregister_critical_after;
  std::string text = "critical for ";
  text += after > Duration::zero() ? "more than " + format_duration(after) : "too long";
  text += ", check " + check->spec.id;
  constexpr std::size_t kLineShownMax = 200;  // outputs may be whole pages
  if (const std::string_view line = first_line(check->output); !line.empty())
    text += ": " + std::string(line.substr(0, kLineShownMax));
  return text;
}

std::vector<InstancePtr> dropped_in(const Registry& registry) {
  std::vector<InstancePtr> dropped = registry.own();
  std::erase_if(dropped, [](const InstancePtr& instance) {
    return !instance->dropped || instance->id.text() == kNodeId;
  });
  return dropped;
}

std::map<std::string, std::vector<InstancePtr>> labels_with_dropped(const Registry& registry) {
  std::map<std::string, std::vector<InstancePtr>> labels;
  for (InstancePtr& instance : dropped_in(registry))
    labels[instance->service.label()].push_back(std::move(instance));
  for (const std::string& label : registry.services())
    labels[label];
  return labels;
}

void Registry::hold(const std::vector<std::string>& ids) {
  state_->held = {ids.begin(), ids.end()};
}

Result<std::vector<std::string>, RegistryError> Registry::State::in_the_way(
    const Instance& next, const InstancePtr& old) const {
  const bool comes = !old || old->service != next.service;
  if (const auto taken = own_keys.find(key_of(next)); comes && taken != own_keys.end()) {
    if (!gives_way(*own.at(taken->second))) return failure(RegistryError::duplicate_id);
    return std::vector{taken->second};
  }
  if (old || own.size() < kRegistrationsMax) return std::vector<std::string>();
  for (const auto& [since, id] : dropped)
    if (!held.contains(id)) return std::vector{id};
  return failure(RegistryError::too_many);
}

Result<Changes, RegistryError> Registry::drop(std::string_view id, Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  const bool critical = std::ranges::find(old->checks, CheckHealth::critical,
                                          &CheckState::health) != old->checks.end();
  if (old->dropped || !critical) return state_->finish({});
  Instance next = *old;
  next.dropped = true;
  state_->record_note(*old, "deregistered, critical for too long,", now);
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

std::vector<std::string> Registry::silent_heartbeats(TimePoint now) const {
  std::vector<std::string> ids;
  for (const auto& [due, id] : state_->heartbeats_due) {
    if (due > now) break;
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::optional<TimePoint> Registry::next_silence() const {
  if (state_->heartbeats_due.empty()) return std::nullopt;
  return state_->heartbeats_due.begin()->first;
}

Changes Registry::expire(Moment now) {
  Changes changes;
  while (!state_->probes_due.empty() && state_->probes_due.begin()->first <= now.at) {
    const std::string id = state_->probes_due.begin()->second;
    changes.append(*drop(id, now));
  }
  while (!state_->stale_due.empty() && state_->stale_due.begin()->first <= now.at) {
    const auto due = state_->stale_due.extract(state_->stale_due.begin());
    changes.append(lose(due.value().second, now));
  }
  while (!state_->memory_due.empty() && state_->memory_due.begin()->first <= now.at) {
    const std::string label = state_->memory_due.begin()->second;
    if (state_->has_own(label))
      state_->remember_until(now.at + kNameMemory, label);
    else
      state_->forget(label, changes);
  }
  return state_->finish(std::move(changes));
}

std::optional<TimePoint> Registry::next_expiry() const {
  std::optional<TimePoint> next;
  const auto consider = [&](TimePoint due) { next = std::min(next.value_or(due), due); };
  if (!state_->probes_due.empty()) consider(state_->probes_due.begin()->first);
  if (!state_->stale_due.empty()) consider(state_->stale_due.begin()->first);
  if (!state_->memory_due.empty()) consider(state_->memory_due.begin()->first);
  return next;
}

}  // namespace outrider::registry
