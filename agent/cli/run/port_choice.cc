// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/port_choice.h"

#include <string>

#include "base/hash.h"

namespace outrider::cli::beside {

std::uint16_t choose_port(std::string_view service, std::string_view folder,
                          const std::function<bool(std::uint16_t)>& is_free) {
  const std::uint64_t first = fnv1a(std::string(service) + '\n' + std::string(folder));
  for (unsigned attempt = 0; attempt < kPortAttempts; ++attempt) {
    const auto port = static_cast<std::uint16_t>(kPortFirst + (first + attempt) % kPortCount);
    if (is_free(port)) return port;
  }
  return 0;
}

}  // namespace outrider::cli::beside
