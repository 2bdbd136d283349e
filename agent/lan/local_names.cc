// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/local_names.h"

#include <algorithm>

namespace outrider {
namespace {

bool has_local_name(const registry::Instance& instance) {
  return instance.own() && instance.local_name->wanted && instance.served() && instance.port != 0 &&
         instance.scope == registry::Scope::lan;
}

std::string local_name(const std::string& label) {
  return label + ".local";
}

/// Of all; none where one of them has those of this host's interfaces.
std::vector<IpAddress> union_of(const std::map<std::string, std::vector<IpAddress>>& users) {
  std::vector<IpAddress> all;
  for (const auto& [id, addresses] : users) {
    if (addresses.empty()) return {};
    all.insert(all.end(), addresses.begin(), addresses.end());
  }
  std::ranges::sort(all);
  all.erase(std::ranges::unique(all).begin(), all.end());
  return all;
}

}  // namespace

void LocalNames::apply(const registry::InstancePtr& before, const registry::InstancePtr& after) {
  if (provider_ == nullptr) return;
  const registry::Instance& any = after ? *after : *before;
  const std::string id = any.id.text();
  const bool wants = after && has_local_name(*after);
  Place place = held_.find(any.service.label());
  if (place == held_.end()) {
    if (!wants) return;
    if (held_.size() >= kLocalNamesRemembered)
      std::erase_if(held_, [](const auto& item) { return item.second.users.empty(); });
    place = held_.try_emplace(any.service.label()).first;
    place->second.id = next_++;
  }
  Held& held = place->second;
  if (wants) {
    std::vector<IpAddress>& addresses = held.users[id];
    addresses.clear();
    for (const registry::PlacedAddress& placed : after->addresses)
      addresses.push_back(placed.address);
  } else if (held.users.erase(id) == 0) {
    return;
  }
  publish(place);
  report_(id, wants && held.claimed ? local_name(held.label) : std::string());
}

void LocalNames::publish(Place place) {
  auto& [service, held] = *place;
  if (held.users.empty()) return withdraw(held);
  std::vector<IpAddress> addresses = union_of(held.users);
  if (held.published && held.addresses == addresses) return;
  held.addresses = std::move(addresses);
  const auto result = provider_->publish(
      held.id,
      {.label = service, .type = {}, .preferred = held.label, .addresses = held.addresses});
  // One that was refused is tried again with the next change of an instance.
  held.published = result.has_value();
  if (!result)
    env_.log.record(LogEvent::mdns_local_name_refused,
                    {{"service", service}, {"reason", to_string(result.error())}});
  if (std::exchange(held.claimed, false)) report(held);
}

void LocalNames::withdraw(Held& held) {
  if (held.published) provider_->withdraw(held.id);
  held.published = held.claimed = false;
}

void LocalNames::withdraw_all() {
  for (auto& [service, held] : held_)
    withdraw(held);
  held_.clear();
}

/// A report may lead to a change of another instance, and so back to apply().
void LocalNames::report(const Held& held) {
  const std::string name = held.claimed ? local_name(held.label) : std::string();
  std::vector<std::string> ids;
  for (const auto& [id, addresses] : held.users)
    ids.push_back(id);
  for (const std::string& id : ids)
    report_(id, name);
}

LocalNames::Place LocalNames::find(mdns::AnnouncementId id) {
  return std::ranges::find_if(
      held_, [id](const auto& item) { return item.second.id == id && item.second.published; });
}

void LocalNames::on_announced(mdns::AnnouncementId id, const std::string& label) {
  const Place place = find(id);
  if (place == held_.end()) return;
  Held& held = place->second;
  held.claimed = true;
  held.label = label;
  env_.log.record(LogEvent::mdns_local_name_claimed,
                  {{"service", place->first}, {"name", local_name(label)}});
  report(held);
}

void LocalNames::on_conflict(mdns::AnnouncementId id) {
  const Place place = find(id);
  if (place == held_.end()) return;
  Held& held = place->second;
  held.claimed = false;
  env_.log.record(LogEvent::mdns_local_name_lost, {{"service", place->first}});
  report(held);
}

}  // namespace outrider
