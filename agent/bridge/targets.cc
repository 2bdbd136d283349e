// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/targets.h"

#include <algorithm>

#include "agent/registry/served.h"

namespace outrider::bridge {

doors::Findings look_for_service(const doors::View& view, const std::string& name) {
  doors::Findings found = doors::look_for(view, name);
  if (found.place == doors::Findings::Place::none) return found;
  doors::Findings nothing;
  nothing.name.meaning.service = nothing.name.relative = name;
  return nothing;
}

Targets::Targets(Env& env, doors::Control& control, registry::Strategy strategy)
    : env_(env), control_(control), strategy_(strategy), selector_(env.random) {}

bool Targets::is_own(const Endpoint& endpoint, const registry::HostView& host) const {
  return std::ranges::any_of(own_, [&](const Endpoint& own) {
    if (own.port != endpoint.port) return false;
    if (own.address == endpoint.address) return true;
    return own.address.is_any() && (endpoint.address.is_loopback() ||
                                    std::ranges::count(host.addresses, endpoint.address) > 0);
  });
}

const Targets::Instances& Targets::find(const std::string& name) {
  const TimePoint now = env_.now();
  if (const auto kept = kept_.find(name); kept != kept_.end() && now < kept->second.until)
    return kept->second.instances;
  if (kept_.size() >= kNamesKeptMax) kept_.clear();
  const doors::View view = doors::view_of(control_);
  Kept& kept = kept_[name];
  kept = {.instances = {}, .until = now + kNamesKept};
  for (const registry::InstancePtr& instance : look_for_service(view, name).answered) {
    if (instance->port == 0) continue;
    Instance one{
        instance->id.text(), {}, instance->weight, instance->health == registry::Health::warning};
    for (const IpAddress& address : served_addresses(*instance, view.host))
      if (const Endpoint to{address, instance->port}; !is_own(to, view.host))
        one.endpoints.push_back(to);
    kept.instances.push_back(std::move(one));
  }
  return kept.instances;
}

bool Targets::is_shunned(const Endpoint& endpoint) const {
  const auto found = shunned_.find(endpoint);
  return found != shunned_.end() && env_.now() < found->second;
}

void Targets::shun(const Endpoint& endpoint) {
  if (shunned_.size() >= kShunnedMax) {
    std::erase_if(shunned_, [this](const auto& one) { return one.second <= env_.now(); });
    if (shunned_.size() >= kShunnedMax) shunned_.clear();
  }
  shunned_[endpoint] = env_.now() + kShunned;
}

void Targets::uncount(const Endpoint& endpoint) {
  const auto found = load_.find(endpoint);
  if (found != load_.end() && --found->second.connections == 0) load_.erase(found);
}

Targets::Left Targets::look_for(const std::string& name, std::span<const Endpoint> tried) {
  Left left;
  unsigned best = 0;
  for (const Instance& instance : find(name)) {
    const auto is_tried = [&](const Endpoint& to) { return std::ranges::count(tried, to) > 0; };
    const auto to = std::ranges::find_if_not(instance.endpoints, is_tried);
    if (to == instance.endpoints.end()) continue;
    left.endpoints += static_cast<std::size_t>(instance.endpoints.end() - to);
    // Another address of an instance that failed is tried after all other instances. p2c avoids
    // instances with warnings by itself.
    const bool behind = instance.warning && strategy_ != registry::Strategy::p2c;
    const unsigned rank = (to == instance.endpoints.begin() ? 4U : 0U) +
                          (is_shunned(*to) ? 0U : 2U) + (behind ? 0U : 1U);
    if (rank < best) continue;
    if (rank > best) left.best.clear();
    best = rank;
    left.best.push_back({instance.id, *to, instance.weight, instance.warning});
  }
  return left;
}

std::optional<Target> Targets::next(const std::string& name, std::span<const Endpoint> tried,
                                    const IpAddress& client) {
  const Left left = look_for(name, tried);
  const std::string key =
      strategy_ == registry::Strategy::consistent_hash ? client.to_string() : std::string();
  const auto picked = selector_.pick(name, strategy_, left.best, load_, key, env_.now());
  if (!picked) return std::nullopt;
  const registry::Candidate& one = left.best[*picked];
  return Target{std::string(one.id), one.endpoint, left.endpoints == 1};
}

bool Targets::has_next(const std::string& name, std::span<const Endpoint> tried) {
  return look_for(name, tried).endpoints > 0;
}

bool Targets::is_loop(const std::string& name) {
  const Instances& instances = find(name);
  return !instances.empty() &&
         std::ranges::all_of(instances, [](const Instance& one) { return one.endpoints.empty(); });
}

}  // namespace outrider::bridge
