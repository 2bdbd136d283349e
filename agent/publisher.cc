// SPDX-License-Identifier: Apache-2.0
#include "agent/publisher.h"

#include <algorithm>

namespace outrider {
namespace {

mdns::Announcement to_mdns(const registry::AnnouncementPlan& plan) {
  mdns::Announcement out{.label = plan.label, .type = plan.type, .port = plan.port};
  out.weight = plan.weight;
  out.txt = plan.txt;
  out.addresses = plan.addresses;
  out.host_only = plan.host_only;
  return out;
}

}  // namespace

Publisher::Publisher(Log& log, mdns::Provider* provider, registry::AnnouncementProfile profile)
    : log_(log), provider_(provider), profile_(std::move(profile)) {}

void Publisher::apply(const registry::InstancePtr& before, const registry::InstancePtr& after) {
  if (provider_ == nullptr) return;
  const std::string id = after ? after->id.text() : before->id.text();
  std::vector<registry::AnnouncementPlan> plans;
  if (after) plans = registry::announcements(*after, profile_);
  for (auto it = held_.lower_bound({id, ""}); it != held_.end() && it->first.first == id;) {
    const bool wanted = std::any_of(plans.begin(), plans.end(), [&](const auto& plan) {
      return plan.type == it->first.second;
    });
    if (wanted) {
      ++it;
      continue;
    }
    provider_->withdraw(it->second.id);
    it = held_.erase(it);
  }
  for (registry::AnnouncementPlan& plan : plans) {
    auto [it, fresh] = held_.try_emplace({id, plan.type});
    Held& held = it->second;
    if (!fresh && held.plan == plan) continue;
    if (fresh) held.id = next_++;
    if (!plan.left_out.empty() && plan.left_out != held.live.left_out) {
      std::string keys;
      for (const std::string& key : plan.left_out)
        keys += (keys.empty() ? "" : ",") + key;
      log_.warn("txt_left_out", {{"instance", id}, {"type", plan.type}, {"keys", keys}});
    }
    if (fresh || held.plan.label != plan.label) held.live.label = plan.label;
    held.live.type = plan.type;
    held.live.left_out = plan.left_out;
    held.live.conflict = false;
    held.plan = std::move(plan);
    const auto result = provider_->publish(held.id, to_mdns(held.plan));
    if (!result)
      log_.error("publish_refused",
                 {{"instance", id}, {"type", held.plan.type}, {"why", to_string(result.error())}});
  }
}

void Publisher::withdraw_all() {
  if (provider_ != nullptr)
    for (const auto& [key, held] : held_)
      provider_->withdraw(held.id);
  held_.clear();
}

void Publisher::on_announced(mdns::AnnouncementId id, const std::string& label) {
  for (auto& [key, held] : held_) {
    if (held.id != id) continue;
    if (label != held.plan.label)
      log_.warn("renamed", {{"instance", key.first}, {"type", key.second}, {"label", label}});
    else if (!held.live.announced)
      log_.info("announced", {{"instance", key.first}, {"type", key.second}});
    held.live.announced = true;
    held.live.label = label;
  }
}

void Publisher::on_conflict(mdns::AnnouncementId id) {
  for (auto& [key, held] : held_) {
    if (held.id != id) continue;
    held.live.announced = false;
    held.live.conflict = true;
    log_.error("name_conflict", {{"instance", key.first}, {"type", key.second}});
  }
}

std::vector<Publisher::Live> Publisher::live(std::string_view instance_id) const {
  std::vector<Live> out;
  for (const auto& [key, held] : held_)
    if (key.first == instance_id) out.push_back(held.live);
  return out;
}

}  // namespace outrider
