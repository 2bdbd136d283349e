// SPDX-License-Identifier: Apache-2.0
// Alias checks, which take on the health of another registration, looked at together: registrations
// that watch each other in a ring could never pass. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

/// Ids of the registrations that the alias checks watch.
std::vector<std::string> alias_targets(const ServiceSpec& spec);
std::vector<std::string> alias_targets(const Instance& instance);

/// Of a registration by its id; empty for an id that is unknown.
using AliasTargets = std::function<std::vector<std::string>(const std::string& id)>;
/// How `id` comes to watch itself: {"a", "b", "a"}; empty if it does not.
std::vector<std::string> alias_ring(const std::string& id, const AliasTargets& targets_of);

}  // namespace outrider::registry
