// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/check_states.h"

#include <algorithm>

#include "agent/registry/target.h"

namespace outrider::registry {

const CheckState* find_check(const Instance& instance, std::string_view check_id) {
  for (const CheckState& check : instance.checks)
    if (check.spec.id == check_id) return &check;
  return nullptr;
}
CheckState* find_check(Instance& instance, std::string_view check_id) {
  return const_cast<CheckState*>(find_check(std::as_const(instance), check_id));
}

CheckState new_check(const CheckSpec& spec, Moment now) {
  CheckState state{.spec = spec, .output = {}, .since = now, .renewed = now};
  if (std::holds_alternative<TtlCheck>(spec.kind)) state.health = spec.initial;
  return state;
}

CheckState standing_check(const CheckSpec& spec, const CheckState* was,
                          const std::vector<CheckState>& others, Moment now) {
  CheckState state = new_check(spec, now);
  if (was != nullptr) {
    state.health = was->health;
    state.output = was->output;
    if (was->health != CheckHealth::critical) state.since = was->since;
    return state;
  }
  // What a client says of its own heartbeats is believed.
  if (state.health != CheckHealth::starting) return state;
  CheckHealth worst = CheckHealth::passing;
  for (const CheckState& other : others)
    worst = std::max(worst, other.health);
  if (worst > CheckHealth::warning) return state;
  state.health = worst;
  state.output = "not probed yet";
  return state;
}

namespace {

/// What a client says of its program holds at another address too, unless it says otherwise.
bool are_heartbeats(const CheckState* was, const CheckSpec& check) {
  return was != nullptr && std::holds_alternative<TtlCheck>(was->spec.kind) &&
         std::holds_alternative<TtlCheck>(check.kind);
}

}  // namespace

std::vector<CheckState> checks_for(const std::vector<CheckSpec>& specs, const Instance& next,
                                   const InstancePtr& old, Moment now) {
  std::vector<CheckState> checks;
  // At another address may be another program, of which no verdict says anything.
  const bool elsewhere = !old || old->port != next.port || old->addresses != next.addresses;
  for (const CheckSpec& check : specs) {
    const CheckState* was = old ? find_check(*old, check.id) : nullptr;
    if (was != nullptr && was->spec.kind == check.kind &&
        resolve_target(check, *old) == resolve_target(check, next)) {
      checks.push_back(*was);
      checks.back().spec = check;
    } else if (elsewhere && !are_heartbeats(was, check)) {
      checks.push_back(new_check(check, now));
    } else {
      checks.push_back(standing_check(check, was, old->checks, now));
    }
  }
  return checks;
}

}  // namespace outrider::registry
