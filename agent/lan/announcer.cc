// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/announcer.h"

#include <algorithm>

namespace outrider {
namespace {

static_assert(registry::kSubtypesMax <= mdns::kSubtypesMax);

mdns::Announcement to_mdns(const std::vector<std::string>& subtypes,
                           const farp::AnnouncementPlan& plan) {
  mdns::Announcement out{.label = plan.label, .type = plan.type, .port = plan.port};
  out.subtypes = subtypes;
  out.weight = plan.weight;
  out.txt = plan.txt;
  out.addresses = plan.addresses;
  out.host_only = plan.host_only;
  return out;
}

}  // namespace

Announcer::Announcer(Env& env, const registry::Registry& registry, mdns::Provider* provider,
                     farp::AnnouncementProfile profile)
    : env_(env), registry_(registry), provider_(provider), profile_(std::move(profile)) {}

void Announcer::apply(const registry::InstancePtr& before, const registry::InstancePtr& after) {
  if (provider_ == nullptr) return;
  const std::string id = after ? after->id.text() : before->id.text();
  std::vector<farp::AnnouncementPlan> plans;
  if (after) plans = farp::announcements(*after, profile_);
  announce(id, after ? after->subtypes : std::vector<std::string>(), plans);
}

void Announcer::announce_copy(const std::string& key, Copy copy) {
  if (provider_ == nullptr) return;
  announce(key, copies_[key] = std::move(copy));
}

void Announcer::announce(const std::string& key, const Copy& copy) {
  announce(key, copy.instance->subtypes,
           {farp::announcement_of_copy(*copy.instance, copy.addresses, copy.via, profile_)});
}

void Announcer::withdraw_copy(const std::string& key) {
  if (copies_.erase(key) > 0) announce(key, {}, {});
}

void Announcer::announce(const std::string& key, const std::vector<std::string>& subtypes,
                         const std::vector<farp::AnnouncementPlan>& plans) {
  waiting_.erase(key);
  for (auto it = held_.lower_bound({key, ""}); it != held_.end() && it->first.first == key;) {
    const bool wanted = std::any_of(plans.begin(), plans.end(), [&](const auto& plan) {
      return plan.type == it->first.second;
    });
    it = wanted ? std::next(it) : withdraw(it);
  }
  for (const farp::AnnouncementPlan& plan : plans)
    publish(key, subtypes, plan);
}

Announcer::Place Announcer::withdraw(Place place) {
  provider_->withdraw(place->second.id);
  by_id_.erase(place->second.id);
  if (full_ && !fill_timer_.pending()) fill_timer_ = env_.after(kFillDelay, [this] { fill(); });
  return held_.erase(place);
}

void Announcer::publish(const std::string& id, const std::vector<std::string>& subtypes,
                        const farp::AnnouncementPlan& plan) {
  auto place = held_.find({id, plan.type});
  const bool fresh = place == held_.end();
  mdns::Announcement wanted = to_mdns(subtypes, plan);
  if (!fresh && place->second.wanted == wanted && place->second.live.left_out == plan.left_out)
    return;
  if (fresh && full_) {
    waiting_.insert(id);
    return;
  }
  const mdns::AnnouncementId number = fresh ? next_++ : place->second.id;
  const auto result = provider_->publish(number, wanted);
  if (!result && result.error() == mdns::PublishError::too_many) {
    full_ = true;
    if (waiting_.empty())
      env_.log.record(LogEvent::mdns_link_full, {{"announcements", held_.size()}});
    waiting_.insert(id);
    return;
  }
  if (!result)
    env_.log.record(LogEvent::mdns_publish_refused,
                    {{"instance", id}, {"type", plan.type}, {"reason", to_string(result.error())}});
  if (fresh) {
    place = held_.try_emplace({id, plan.type}).first;
    place->second.id = number;
    by_id_.emplace(number, place);
  }
  Held& held = place->second;
  if (!plan.left_out.empty() && plan.left_out != held.live.left_out) {
    std::string keys;
    for (const std::string& key : plan.left_out)
      keys += (keys.empty() ? "" : ",") + key;
    env_.log.record(LogEvent::mdns_txt_shortened,
                    {{"instance", id}, {"type", plan.type}, {"keys", keys}});
  }
  if (fresh || held.wanted.label != plan.label) held.live.label = plan.label;
  held.live.type = plan.type;
  held.live.left_out = plan.left_out;
  held.live.conflict = false;
  held.wanted = std::move(wanted);
}

/// Announces waiting registrations for as long as the provider takes them.
void Announcer::fill() {
  full_ = false;
  while (!full_ && !waiting_.empty()) {
    const std::string id = waiting_.extract(waiting_.begin()).value();
    if (const auto copy = copies_.find(id); copy != copies_.end()) {
      announce(id, copy->second);
      continue;
    }
    const registry::InstancePtr instance = registry_.find_own(id);
    if (!instance) continue;
    for (const farp::AnnouncementPlan& plan : farp::announcements(*instance, profile_))
      publish(id, instance->subtypes, plan);
  }
}

void Announcer::withdraw_all() {
  if (provider_ != nullptr)
    for (const auto& [key, held] : held_)
      provider_->withdraw(held.id);
  held_.clear();
  by_id_.clear();
  copies_.clear();
  waiting_.clear();
  fill_timer_.reset();
}

void Announcer::on_announced(mdns::AnnouncementId id, const std::string& label) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  const auto& [instance, type] = found->second->first;
  Held& held = found->second->second;
  if (label != held.wanted.label)
    env_.log.record(LogEvent::mdns_renamed,
                    {{"instance", instance}, {"type", type}, {"label", label}});
  else if (!held.live.announced)
    env_.log.record(LogEvent::mdns_announced, {{"instance", instance}, {"type", type}});
  held.live.announced = true;
  held.live.label = label;
}

void Announcer::on_conflict(mdns::AnnouncementId id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  Held& held = found->second->second;
  held.live.announced = false;
  held.live.conflict = true;
  env_.log.record(LogEvent::mdns_name_lost, {{"instance", found->second->first.first},
                                             {"type", found->second->first.second}});
}

std::vector<Announcer::Live> Announcer::live(std::string_view key) const {
  std::vector<Live> out;
  for (auto it = held_.lower_bound({std::string(key), ""});
       it != held_.end() && it->first.first == key; ++it)
    out.push_back(it->second.live);
  return out;
}

}  // namespace outrider
