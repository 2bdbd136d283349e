// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

int main(int argc, char** argv) {
  return outrider::cli::run({argv + 1, argv + argc});
}
