// SPDX-License-Identifier: Apache-2.0
#include "base/rounded_duration.h"

#include <cstdlib>
#include <utility>

namespace outrider {

std::string format_rounded(Duration duration) {
  // What has passed at least, and the unit that is still shown then.
  constexpr std::pair<Duration, Duration> kSteps[] = {{24h, 1h},   {1h, 1min}, {10s, 1s},
                                                      {1s, 100ms}, {1ms, 1ms}, {1us, 1us}};
  for (const auto& [least, unit] : kSteps) {
    if (duration < least && duration > -least) continue;
    const bool has_tenths = unit == 100ms;
    const Duration rest = duration % (has_tenths ? Duration(1s) : unit);
    std::string text = format_duration(duration - rest);
    if (const auto tenths = std::abs(rest / unit); has_tenths && tenths != 0)
      text.insert(text.size() - 1, '.' + std::to_string(tenths));
    return text;
  }
  return format_duration(duration);
}

}  // namespace outrider
