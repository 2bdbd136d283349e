// SPDX-License-Identifier: Apache-2.0
// The systemd units of this host's agents, for `outrider doctor`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace outrider::cli {

/// More of them say nothing new.
inline constexpr std::size_t kFailedUnitsMax = 16;
inline constexpr std::size_t kListingBytesMax = 256U << 10;

struct FailedUnit {
  std::string name;
  bool restarts = false;  // systemd tries it again and again
};

/// Of a listing by `systemctl list-units --plain --no-legend --all`.
std::vector<FailedUnit> failed_units(std::string_view listing);
/// Empty without systemd.
std::vector<FailedUnit> failed_units_of_host();

}  // namespace outrider::cli
