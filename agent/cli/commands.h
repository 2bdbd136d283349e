// SPDX-License-Identifier: Apache-2.0
// The commands that run an agent in this process. Their rows are in commands.cc.
#pragma once

#include "agent/cli/cli.h"

namespace outrider::cli {

int run_agent(const Arguments& arguments);   // agent_command.cc
int run_beside(const Arguments& arguments);  // run_command.cc

}  // namespace outrider::cli
