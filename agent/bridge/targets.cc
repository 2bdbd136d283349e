// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/targets.h"

#include <algorithm>

#include "agent/registry/dropped.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::bridge {

namespace {

bool is_on_this_host(const registry::InstancePtr& instance) {
  return instance->on_this_host;
}

/// By this agent or another one of this host, whether it is served or not.
bool is_registered_here(const doors::View& view, const doors::Findings& found) {
  const auto is_meant = [&](const registry::InstancePtr& instance) {
    return instance->service.label() == found.name.meaning.service;
  };
  return std::ranges::any_of(found.all, is_on_this_host) ||
         std::ranges::any_of(registry::dropped_in(view.registry), is_meant);
}

}  // namespace

Targets::Targets(Env& env, doors::Control& control, registry::Strategy strategy,
                 registry::Locality locality)
    : env_(env),
      control_(control),
      strategy_(strategy),
      locality_(locality),
      selector_(env.random) {}

doors::Findings Targets::look_for(const std::string& name) const {
  const doors::View view = doors::view_of(control_);
  doors::Findings found = doors::look_for(view, name);
  if (found.place != doors::Findings::Place::none) {
    doors::Findings nothing;
    nothing.name.meaning.service = nothing.name.relative = name;
    return nothing;
  }
  const registry::NameMeaning& meaning = found.name.meaning;
  if (locality_ != registry::Locality::strict || meaning.form != registry::NameForm::whole ||
      !is_registered_here(view, found))
    return found;
  return doors::look_for(view, write_name(registry::NameForm::local, meaning.service, {}));
}

bool Targets::is_own(const Endpoint& endpoint, const registry::HostView& host) const {
  return std::ranges::any_of(own_, [&](const Endpoint& own) {
    if (own.port != endpoint.port) return false;
    if (own.address == endpoint.address) return true;
    return own.address.is_any() && (endpoint.address.is_loopback() ||
                                    std::ranges::count(host.addresses, endpoint.address) > 0);
  });
}

bool Targets::is_kept_here(const std::string& name, const doors::Findings& found) const {
  return locality_ == registry::Locality::strict &&
         found.name.meaning.form == registry::NameForm::local && found.name.relative != name &&
         !std::ranges::all_of(found.all, is_on_this_host);
}

const Targets::Kept& Targets::find(const std::string& name) {
  const TimePoint now = env_.now();
  if (const auto kept = kept_.find(name); kept != kept_.end() && now < kept->second.until)
    return kept->second;
  if (kept_.size() >= kNamesKeptMax) kept_.clear();
  const registry::HostView host = control_.host();
  Kept& kept = kept_[name];
  kept = {.instances = {}, .off_link = false, .until = now + kNamesKept};
  for (const registry::InstancePtr& instance : look_for(name).answered) {
    if (instance->port == 0) continue;
    Instance one{instance->id.text(),    {},
                 instance->weight,       instance->health == registry::Health::warning,
                 instance->on_this_host, equal_fold(instance->protocol, "https")};
    const bool vouched_for =
        instance->on_this_host || instance->source != registry::Source::sighting;
    bool off_link = false;
    for (const IpAddress& address : served_addresses(*instance, host)) {
      const Endpoint to{address, instance->port};
      if (!vouched_for && !is_on_link(*instance, address, host))
        off_link = true;
      else if (!is_own(to, host))
        one.endpoints.push_back(to);
    }
    if (off_link && one.endpoints.empty())
      kept.off_link = true;
    else
      kept.instances.push_back(std::move(one));
  }
  return kept;
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

/// The most significant first.
unsigned Targets::rank_of(const Instance& instance, const Endpoint& to) const {
  // Another address of an instance that failed is tried after all other instances. p2c avoids
  // instances with warnings by itself.
  const bool behind = instance.warning && strategy_ != registry::Strategy::p2c;
  const bool near =
      instance.on_this_host && !instance.warning && locality_ != registry::Locality::any;
  return (to == instance.endpoints.front() ? 8U : 0U) + (is_shunned(to) ? 0U : 4U) +
         (behind ? 0U : 2U) + (near ? 1U : 0U);
}

Targets::Left Targets::left_of(const std::string& name, std::span<const Endpoint> tried) {
  Left left;
  unsigned best = 0;
  for (const Instance& instance : find(name).instances) {
    const auto is_tried = [&](const Endpoint& to) { return std::ranges::count(tried, to) > 0; };
    const auto to = std::ranges::find_if_not(instance.endpoints, is_tried);
    if (to == instance.endpoints.end()) continue;
    left.endpoints += static_cast<std::size_t>(instance.endpoints.end() - to);
    const unsigned rank = rank_of(instance, *to);
    if (rank < best) continue;
    if (rank > best) left.best.clear();
    best = rank;
    left.best.push_back({instance.id, *to, instance.weight, instance.warning});
  }
  return left;
}

std::optional<Target> Targets::next(const std::string& name, std::span<const Endpoint> tried,
                                    const IpAddress& client) {
  const Left left = left_of(name, tried);
  const std::string key =
      strategy_ == registry::Strategy::consistent_hash ? client.to_string() : std::string();
  const auto picked = selector_.pick(name, strategy_, left.best, load_, key, env_.now());
  if (!picked) return std::nullopt;
  const registry::Candidate& one = left.best[*picked];
  return Target{std::string(one.id), one.endpoint, left.endpoints == 1};
}

bool Targets::has_next(const std::string& name, std::span<const Endpoint> tried) {
  return left_of(name, tried).endpoints > 0;
}

bool Targets::speaks_https(const std::string& name) {
  const Instances& instances = find(name).instances;
  return !instances.empty() && std::ranges::all_of(instances, &Instance::speaks_https);
}

bool Targets::is_off_link(const std::string& name) {
  const Kept& kept = find(name);
  return kept.off_link && kept.instances.empty();
}

bool Targets::is_loop(const std::string& name) {
  const Instances& instances = find(name).instances;
  return !instances.empty() &&
         std::ranges::all_of(instances, [](const Instance& one) { return one.endpoints.empty(); });
}

}  // namespace outrider::bridge
