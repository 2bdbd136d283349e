// SPDX-License-Identifier: Apache-2.0
// Checks that follow another instance (alias), looked at together: instances that follow each other
// in a ring would wait for one another for ever. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

/// Ids of the instances that its checks follow.
std::vector<std::string> followed_by(const ServiceSpec& spec);
std::vector<std::string> followed_by(const Instance& instance);

/// How `id` comes to follow itself: {"a", "b", "a"}; empty if it does not. `followed` tells whom an
/// instance follows; who is not there follows nobody.
using Followed = std::function<std::vector<std::string>(const std::string& id)>;
std::vector<std::string> alias_ring(const std::string& id, const Followed& followed);

}  // namespace outrider::registry
