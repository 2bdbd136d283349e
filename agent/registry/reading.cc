// SPDX-License-Identifier: Apache-2.0
// What Registry answers without changing anything.
#include "agent/registry/describe.h"
#include "agent/registry/registry_state.h"

namespace outrider::registry {
namespace {

/// The label of an automatic id without what sets its host apart; empty for other ids.
std::string short_label(const Instance& instance) {
  if (instance.own()) {
    const auto id = InstanceId::from_foreign(instance.short_id);
    return id ? id->label() : std::string();
  }
  const std::string& text = instance.id.text();
  const std::size_t dash = text.rfind('-');
  const auto id =
      dash == std::string::npos ? std::nullopt : InstanceId::from_foreign(text.substr(0, dash));
  const std::string& identity = instance.stated->identity;
  const bool is_short = id && !identity.empty() && id->apart(identity) == instance.id;
  return is_short ? id->label() : std::string();
}

}  // namespace

std::uint64_t Registry::revision() const {
  return state_->revision;
}

std::uint64_t Registry::changes() const {
  return state_->revision - state_->begun;
}
const HostId& Registry::host() const {
  return state_->host;
}
std::string Registry::other_spelling(const Instance& instance) const {
  const auto found = state_->services.find(instance.service.label());
  if (found == state_->services.end()) return {};
  std::size_t compared = 0;
  for (const auto& [key, other] : found->second.listed) {
    const std::string& text = other.instance->service.text();
    if (text != instance.service.text()) return text;
    if (++compared == kSpellingsCompared) break;
  }
  return {};
}

std::vector<InstancePtr> Registry::renamed(std::size_t most) const {
  std::vector<InstancePtr> out;
  for (const auto& [label, service] : state_->services)
    for (const auto& [key, listed] : service.listed) {
      if (out.size() >= most) return out;
      if (listed.instance->renamed()) out.push_back(listed.instance);
    }
  return out;
}

std::uint64_t Registry::refused_sightings() const {
  return state_->refused;
}
std::size_t Registry::service_count() const {
  return state_->service_count;
}
std::size_t Registry::instance_count() const {
  return state_->listed_count;
}
std::size_t Registry::instance_count(std::string_view service_label) const {
  const auto found = state_->services.find(service_label);
  return found == state_->services.end() ? 0 : found->second.listed.size();
}

InstancePtr Registry::find_exact(std::string_view id) const {
  if (id == kNodeId) return state_->node;
  const auto found = state_->own.find(id);
  return found == state_->own.end() ? nullptr : found->second;
}

InstancePtr Registry::find_own(std::string_view id) const {
  if (InstancePtr found = find_exact(id)) return found;
  const auto named = state_->short_ids.find(id);
  return named == state_->short_ids.end() ? nullptr : state_->own.find(named->second)->second;
}

InstancePtr Registry::find_short(std::string_view service_label, std::string_view id_label) const {
  const auto service = state_->services.find(service_label);
  if (service == state_->services.end()) return nullptr;
  const auto& listed = service->second.listed;
  const std::string begin = std::string(id_label) + '-';
  for (const bool foreign : {false, true}) {
    std::size_t compared = 0;
    for (auto it = listed.lower_bound({foreign, begin});
         it != listed.end() && it->first.foreign == foreign && it->first.id.starts_with(begin) &&
         ++compared <= kShortIdsCompared;
         ++it)
      if (short_label(*it->second.instance) == id_label) return it->second.instance;
  }
  return nullptr;
}

std::size_t Registry::own_count() const {
  return state_->own.size();
}

std::vector<std::string> Registry::with_check(std::string_view check_id, std::size_t most) const {
  std::vector<std::string> ids;
  for (auto it = state_->check_ids.lower_bound({std::string(check_id), ""});
       it != state_->check_ids.end() && it->first == check_id && ids.size() < most; ++it)
    ids.push_back(it->second);
  return ids;
}

std::vector<InstancePtr> Registry::own() const {
  std::vector<InstancePtr> all;
  all.reserve(state_->own.size());
  for (const auto& [id, instance] : state_->own)
    all.push_back(instance);
  return all;
}

std::vector<InstancePtr> Registry::instances(std::string_view service_label) const {
  std::vector<InstancePtr> all;
  if (const auto found = state_->services.find(service_label); found != state_->services.end()) {
    all.reserve(found->second.listed.size());
    for (const auto& [key, listed] : found->second.listed)
      all.push_back(listed.instance);
  }
  return all;
}

std::vector<std::string> Registry::services() const {
  std::vector<std::string> labels;
  for (const auto& [label, service] : state_->services)
    if (!service.listed.empty()) labels.push_back(label);
  return labels;
}

bool Registry::knows(std::string_view service_label) const {
  const auto found = state_->services.find(service_label);
  return (found != state_->services.end() && !found->second.listed.empty()) ||
         state_->memory.contains(service_label);
}

std::vector<std::string> Registry::remembered() const {
  std::vector<std::string> labels;
  for (const auto& [label, until] : state_->memory)
    labels.push_back(label);
  return labels;
}

namespace {

/// What has happened to the last instance of a service, as agents see it that do not have it.
std::string as_seen_elsewhere(std::string note) {
  for (const char* own : {" deregistered, critical for too long,", " deregistered"})
    note = replace_all(std::move(note), own, " left");
  return note;
}

}  // namespace

/// While there are instances, their state says it. What has happened does so only when none is
/// left, for agents of one host do not all see it happen at the same moment.
std::string Registry::why(std::string_view service_label) const {
  const auto found = state_->services.find(service_label);
  if (found == state_->services.end()) return {};
  const State::Service& service = found->second;
  std::size_t served = 0;
  const Instance* failing = nullptr;  // the first by id, whoever registered it
  for (const auto& [key, listed] : service.listed) {
    const Instance& each = *listed.instance;
    served += each.served() ? 1 : 0;
    const bool fails = !usable(each.health) && each.health != Health::starting;
    if (fails && (failing == nullptr || each.id < failing->id)) failing = &each;
  }
  std::string out =
      std::to_string(service.listed.size()) + " known, " + std::to_string(served) + " passing";
  if (failing != nullptr) out += "; " + describe_state(*failing);
  if (service.listed.empty() && !service.last_note.empty())
    out += "; last: " + as_seen_elsewhere(service.last_note);
  return out;
}

std::string Registry::note(std::string_view service_label) const {
  const auto found = state_->services.find(service_label);
  return found == state_->services.end() ? std::string() : found->second.listed_note;
}

Registry Registry::of_past(HostId host, std::vector<PastService> services) {
  Registry past(std::move(host));
  for (PastService& service : services) {
    if (!service.known) continue;
    State::Service& listed = past.state_->services[service.label];
    for (InstancePtr& instance : service.instances)
      listed.listed.try_emplace(State::list_key(*instance), State::Listed{instance});
    listed.last_note = listed.listed_note = std::move(service.note);
    if (listed.listed.empty()) past.state_->memory.emplace(service.label, TimePoint::max());
  }
  return past;
}

std::uint64_t Registry::service_revision(std::string_view service_label) const {
  const auto found = state_->services.find(service_label);
  return found == state_->services.end() ? 0 : found->second.revision;
}

}  // namespace outrider::registry
