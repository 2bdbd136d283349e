// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/announcements.h"

#include <algorithm>

#include "agent/registry/name_grammar.h"

namespace outrider::farp {

const std::string& announced_label(const registry::Instance& instance, std::string_view type) {
  return type == kOctopusType ? instance.service.label() : instance.id.label();
}

std::vector<AnnouncementPlan> announcements(const registry::Instance& instance,
                                            const AnnouncementProfile& profile) {
  std::vector<AnnouncementPlan> plans;
  if (!instance.own() || !instance.served() || instance.port == 0) return plans;
  std::vector<std::string> types = {
      registry::write_name(registry::NameForm::type, instance.service.label())};
  for (const std::string& type : profile.shared_types)
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  for (const std::string& type : types) {
    AnnouncementPlan plan{announced_label(instance, type), type, instance.port};
    plan.weight = instance.health == registry::Health::warning ? std::uint16_t{1} : instance.weight;
    WrittenTxt txt = write_txt(instance, type, profile);
    plan.txt = std::move(txt.strings);
    plan.left_out = std::move(txt.left_out);
    for (const registry::PlacedAddress& placed : instance.addresses)
      plan.addresses.push_back(placed.address);
    plan.host_only = instance.scope == registry::Scope::host;
    plans.push_back(std::move(plan));
  }
  return plans;
}

AnnouncementPlan announcement_of_copy(const registry::Instance& instance,
                                      const std::vector<IpAddress>& addresses, std::string_view via,
                                      const AnnouncementProfile& profile) {
  const std::string type = registry::write_name(registry::NameForm::type, instance.service.label());
  AnnouncementProfile marked = profile;
  marked.via = via;
  // Its own host, as far as that is known: the readers tell equal ids apart by it.
  marked.host_text = instance.stated->identity;
  AnnouncementPlan plan{instance.id.label(), type, instance.port};
  plan.weight = instance.health == registry::Health::warning ? std::uint16_t{1} : instance.weight;
  WrittenTxt txt = write_txt(instance, type, marked);
  plan.txt = std::move(txt.strings);
  plan.left_out = std::move(txt.left_out);
  plan.addresses = addresses;
  return plan;
}

}  // namespace outrider::farp
