// SPDX-License-Identifier: Apache-2.0
// Names as other programs of this host find them: getaddrinfo, called in another process (getent),
// because it blocks, and may well ask the agent that runs in this one.
#pragma once

#include "agent/cli/run/trial.h"
#include "base/uv/loop.h"

namespace outrider::cli::beside {

/// A resolver that does not answer is given up.
inline constexpr Duration kLookUpTime = std::chrono::seconds(2);

/// `loop` and `env` outlive it, and what it returns.
LookUp system_look_up(uv::Loop& loop, Env& env);

}  // namespace outrider::cli::beside
