// SPDX-License-Identifier: Apache-2.0
// What the checks of a registration start from: nothing, or what is known of checks that they
// replace or stand beside. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

/// Null if there is none. Valid until the instance changes.
const CheckState* find_check(const Instance& instance, std::string_view check_id);
CheckState* find_check(Instance& instance, std::string_view check_id);

/// A check of which nothing is known yet.
CheckState new_check(const CheckSpec& spec, Moment now);
/// A check that is changed or added while its instance stays. It starts from the verdict that
/// stands, so that a reload takes nothing out of service: that of the check which it replaces
/// (`was`), else that of the other checks if they let the instance be served.
CheckState standing_check(const CheckSpec& spec, const CheckState* was,
                          const std::vector<CheckState>& others, Moment now);
/// The checks of registration `next`, which takes the place of `old` (null: of none).
std::vector<CheckState> checks_for(const std::vector<CheckSpec>& specs, const Instance& next,
                                   const InstancePtr& old, Moment now);

}  // namespace outrider::registry
