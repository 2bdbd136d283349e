// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <string_view>

#include "agent/cli/cli.h"
#include "agent/process/out_of_memory.h"
#include "agent/process/standard_streams.h"
#include "agent/process/static_program.h"
#include "base/uv/loop.h"

int main(int argc, char** argv) {
  // A reload that is asked for before the agent is up must not end it. Other commands end with
  // their terminal.
  if (argc > 1 && std::string_view(argv[1]) == "agent") outrider::uv::hold_signal(SIGHUP);
  outrider::open_standard_streams();
  outrider::abort_when_out_of_memory();
  outrider::prepare_static_program();
  return outrider::cli::run({argv + 1, argv + argc});
}
