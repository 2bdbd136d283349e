// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"
#include "agent/process/out_of_memory.h"
#include "agent/process/standard_streams.h"

int main(int argc, char** argv) {
  outrider::open_standard_streams();
  outrider::abort_when_out_of_memory();
  return outrider::cli::run({argv + 1, argv + argc});
}
