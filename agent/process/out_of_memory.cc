// SPDX-License-Identifier: Apache-2.0
#include "agent/process/out_of_memory.h"

#include <cstdlib>
#include <new>
#include <string_view>

#include <unistd.h>

namespace outrider {

void abort_when_out_of_memory() {
  std::set_new_handler([] {
    constexpr std::string_view kText = "outrider: out of memory\n";
    // There is nothing left to do if this fails as well.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText.data(), kText.size());
    std::abort();
  });
}

}  // namespace outrider
