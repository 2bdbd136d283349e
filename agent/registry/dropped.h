// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/registry/registry.h"

namespace outrider::registry {

/// Why a dropped registration is not listed: "critical for more than 1m, check http: HTTP 503".
std::string why_dropped(const Instance& instance);

/// Registrations that are not listed because they have been critical for too long.
std::vector<InstancePtr> dropped_in(const Registry& registry);
/// The same by label, with every label that has listed instances: what a list of services has.
std::map<std::string, std::vector<InstancePtr>> labels_with_dropped(const Registry& registry);

}  // namespace outrider::registry
