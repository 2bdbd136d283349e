// SPDX-License-Identifier: Apache-2.0
// `outrider example NAME`: configuration of other programs that works as printed.
#include "agent/cli/examples_table.h"
#include "agent/cli/host_commands.h"
#include "agent/cli/output.h"
#include "base/text.h"

namespace outrider::cli {

int print_example(const Arguments& arguments) {
  const std::string& wanted = arguments.positional().front();
  for (const Example& example : kExamples)
    if (example.name == wanted) {
      print(example.text);
      return kDone;
    }
  return complain(
      "no example \"" + wanted + "\"; there are: " + join(kExamples, ", ", &Example::name), kUsage);
}

}  // namespace outrider::cli
