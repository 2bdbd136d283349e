// SPDX-License-Identifier: Apache-2.0
#include "agent/exports.h"

#include <algorithm>

namespace outrider {
namespace {

using registry::engine_of;
using registry::Instance;
using registry::InstancePtr;
using registry::Source;

/// The engine in which agents elect who copies. It depends on the rule alone: all agents that have
/// the rule elect in the same place.
Source elector_of(const auto& rule) {
  return rule.from == Source::etcd || rule.to == Source::etcd ? Source::etcd : Source::consul;
}

std::string claim_name(const ExportRule& rule, const registry::ServiceName& service) {
  std::string name = "export/";
  name += engine_of(rule.from);
  name += '/';
  name += engine_of(rule.to);
  if (!rule.group.empty()) name += '/' + rule.group;
  return name + '/' + service.label();
}

/// By itself, not as a copy.
bool is_at(const Instance& instance, Source source) {
  return std::ranges::any_of(instance.places, [&](const registry::SightedPlace& place) {
    return place.via.empty() && place.engine == engine_of(source);
  });
}

bool fits(const auto& election, const Instance& instance) {
  return !instance.own() && is_at(instance, election.from) && !is_at(instance, election.to);
}

}  // namespace

Exports::Exports(Env& env, const registry::Registry& registry, Engines& engines,
                 Announcer& announcer)
    : env_(env), registry_(registry), engines_(engines), announcer_(announcer) {
  engines_.on_claim([this](Source, const std::string& name, bool held, const std::string& reason) {
    on_claim(name, held, reason);
  });
}

void Exports::set_rules(const std::vector<ExportRule>& rules) {
  Elections next;
  for (const ExportRule& rule : rules)
    for (const registry::ServiceName& service : rule.names) {
      const std::string name = claim_name(rule, service);
      const auto known = elections_.find(name);
      if (known != elections_.end())
        next.insert(*known);
      else
        next.emplace(name,
                     Election{rule.from, rule.to, rule.group, service, false,
                              std::string(engine_of(elector_of(rule))) + " has not answered yet"});
    }
  Elections before = std::exchange(elections_, std::move(next));
  by_service_.clear();
  for (const auto& [name, election] : elections_)
    by_service_[election.service.label()].push_back(name);
  update_services();
  for (const auto& [name, election] : before)
    if (!elections_.contains(name)) {
      update_service(election.service.label());
      engines_.unclaim(elector_of(election), name);
    }
  for (const auto& [name, election] : elections_)
    if (!before.contains(name)) engines_.claim(elector_of(election), name);
}

void Exports::stop() {
  for (auto& [name, election] : elections_)
    election.held = false;
  // Keys begin with the target: of those in reverse order, the link comes last.
  const std::map<Key, std::string> copies = copies_;
  for (auto at = copies.rbegin(); at != copies.rend(); ++at)
    withdraw(at->first);
  timer_.reset();
  left_out_.clear();
  candidates_.clear();
  by_service_.clear();
  for (const auto& [name, election] : std::exchange(elections_, {}))
    engines_.unclaim(elector_of(election), name);
}

void Exports::on_claim(const std::string& name, bool held, const std::string& reason) {
  const auto found = elections_.find(name);
  if (found == elections_.end()) return;
  Election& election = found->second;
  if (election.held == held && election.reason == reason) return;
  election.held = held;
  election.reason = reason;
  env_.log.record(LogEvent::export_changed, {{"service", election.service.text()},
                                             {"from", engine_of(election.from)},
                                             {"to", engine_of(election.to)},
                                             {"state", held ? "exporting" : "waiting"},
                                             {"reason", reason}});
  update_service(election.service.label());
}

// --- what is copied --------------------------------------------------------------------------

void Exports::apply(const registry::Changes& changes) {
  if (by_service_.empty()) return;
  std::set<std::string> services;
  for (const registry::Change& change : changes.list)
    if (const std::string& label = change.any().service.label();
        change.news() && by_service_.contains(label))
      services.insert(label);
  std::ranges::for_each(services, [this](const std::string& label) { update_service(label); });
}

void Exports::update_services() {
  for (const auto& [label, claims] : by_service_)
    update_service(label);
}

/// Looks at what is listed now, not at single changes: an id may have gone from one instance to
/// another.
void Exports::update_service(const std::string& label) {
  std::set<Key> gone;
  for (const auto& [key, since] : candidates_)
    if (key.service == label) gone.insert(key);
  std::set<Source> targets;
  if (const auto claims = by_service_.find(label); claims != by_service_.end())
    for (const std::string& name : claims->second)
      targets.insert(elections_.at(name).to);
  if (!targets.empty())
    for (const InstancePtr& instance : registry_.instances(label))
      for (const Source to : targets) {
        const Key key{to, label, instance->id.label()};
        // A registration and a foreign instance never have the same label at the same time.
        gone.erase(key);
        update(key, instance);
      }
  for (const Key& key : gone)
    update(key, nullptr);
}

void Exports::update(const Key& key, const InstancePtr& instance) {
  const std::string* chosen = nullptr;
  bool could = false;
  if (const auto claims = by_service_.find(key.service); instance && claims != by_service_.end())
    for (const std::string& name : claims->second) {
      const Election& election = elections_.at(name);
      if (election.to != key.to || !fits(election, *instance)) continue;
      could = true;
      if (election.held && chosen == nullptr) chosen = &name;
    }
  if (!could) {
    candidates_.erase(key);
    return withdraw(key);
  }
  const TimePoint due = candidates_.try_emplace(key, env_.now()).first->second + kCopyDelay;
  if (env_.now() < due) return wake_at(due);
  // Also what is not healthy, or reached by this host alone.
  if (chosen == nullptr || copied_addresses(*instance).empty()) return withdraw(key);
  put(key, *chosen, instance);
}

void Exports::put(const Key& key, const std::string& claim, const InstancePtr& instance) {
  if (!copies_.contains(key) && copies_.size() >= kCopiesMax) {
    left_out_[key] = claim;
    return;
  }
  left_out_.erase(key);
  copies_[key] = claim;
  const std::string_view via = engine_of(elections_.at(claim).from);
  if (key.to == Source::sighting)
    announcer_.announce_copy(key.text(), {instance, copied_addresses(*instance), via});
  else
    engines_.put_copy(key.to, *to_copy(*instance, via, key.text()));
}

void Exports::withdraw(const Key& key) {
  left_out_.erase(key);
  if (copies_.erase(key) == 0) return;
  if (key.to == Source::sighting)
    announcer_.withdraw_copy(key.text());
  else
    engines_.remove_copy(key.to, key.text());
  if (!left_out_.empty()) wake_at(env_.now());
}

void Exports::wake_at(TimePoint due) {
  if (timer_.pending() && timer_.due() <= due) return;
  timer_ = env_.timers.at(due, [this] { update_services(); });
}

// --- for people ------------------------------------------------------------------------------

std::vector<doors::CopyView> Exports::of(const Instance& instance) const {
  std::vector<doors::CopyView> views;
  const auto claims = by_service_.find(instance.service.label());
  if (claims == by_service_.end()) return views;
  for (const std::string& name : claims->second) {
    const Election& election = elections_.at(name);
    if (!fits(election, instance)) continue;
    const Key key{election.to, instance.service.label(), instance.id.label()};
    std::string by = election.reason;
    if (copies_.contains(key))
      by = "by this agent";
    else if (left_out_.contains(key))
      by = "not copied: this agent copies no more than " + std::to_string(kCopiesMax);
    else if (election.held)
      by = instance.served() ? "not copied yet" : "not copied: it is not healthy";
    views.push_back({engine_of(election.from), engine_of(election.to), std::move(by)});
  }
  return views;
}

std::uint64_t Exports::count(const std::string& claim, const std::map<Key, std::string>& of) {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(of, [&](const auto& each) { return each.second == claim; }));
}

void Exports::write(json::Writer& out) const {
  out.key("exports").begin_array();
  for (const auto& [name, election] : elections_) {
    out.begin_object().member("service", election.service.text());
    out.member("from", engine_of(election.from)).member("to", engine_of(election.to));
    out.member("group", election.group);
    out.member("state", election.held ? "exporting" : "waiting").member("reason", election.reason);
    out.member("instances", count(name, copies_)).member("left_out", count(name, left_out_));
    out.end_object();
  }
  out.end_array();
}

void Exports::write_metrics(doors::Metrics& out) const {
  for (const auto& [name, election] : elections_) {
    const doors::Metrics::Labels labels{{"service", election.service.label()},
                                        {"from", std::string(engine_of(election.from))},
                                        {"to", std::string(engine_of(election.to))}};
    out.gauge("outrider_export_held", "1 if this agent was elected to copy the service",
              election.held ? 1 : 0, labels);
    out.gauge("outrider_export_instances", "instances that this agent copies",
              static_cast<double>(count(name, copies_)), labels);
    out.gauge("outrider_export_left_out", "instances beyond what one agent copies",
              static_cast<double>(count(name, left_out_)), labels);
  }
}

}  // namespace outrider
