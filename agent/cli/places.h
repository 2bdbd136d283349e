// SPDX-License-Identifier: Apache-2.0
// Where services are reached from this host, for commands that ask an agent: open and status. Each
// address has answered when it was tried, as those that `outrider run` shows.
#pragma once

#include <optional>
#include <vector>

#include "agent/cli/run/trial.h"
#include "base/json.h"

namespace outrider::cli {

/// Instances that status shows, and trials that run at the same time.
inline constexpr std::size_t kTrialsMax = 16;

/// How to reach an instance. `instance` is one of the API, `explanation` what it says of its name
/// (/v1/outrider/why), `status` the agent's. Nothing if the instance has no address.
std::optional<beside::TrialPlan> plan_for(const json::Value& instance,
                                          const json::Value& explanation,
                                          const json::Value& status);

/// Tries all at the same time. In the order of the plans.
std::vector<beside::Places> try_places(const std::vector<beside::TrialPlan>& plans);

}  // namespace outrider::cli
