// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace outrider::cli {

std::vector<FailedUnit> failed_units(std::string_view listing) {
  std::vector<FailedUnit> failed;
  while (!listing.empty() && failed.size() < kFailedUnitsMax) {
    const std::size_t end = std::min(listing.find('\n'), listing.size());
    const std::string_view line = listing.substr(0, end);
    listing.remove_prefix(std::min(end + 1, listing.size()));
    std::array<std::string_view, 4> words;  // name, load state, state, state of its kind
    std::size_t at = 0;
    for (std::string_view& word : words) {
      const std::size_t begin = std::min(line.find_first_not_of(' ', at), line.size());
      at = std::min(line.find(' ', begin), line.size());
      word = line.substr(begin, at - begin);
    }
    // A unit that waits for its next start after a crash is "activating auto-restart".
    if (words[2] == "failed" || words[3] == "auto-restart")
      failed.push_back({std::string(words[0]), words[3] == "auto-restart"});
  }
  return failed;
}

std::vector<FailedUnit> failed_units_of_host() {
  std::FILE* pipe = ::popen(
      "systemctl list-units --plain --no-legend --no-pager --all 'outrider*' 2>/dev/null", "r");
  if (pipe == nullptr) return {};
  std::string listing;
  std::array<char, 4'096> piece{};
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), pipe))
    if (listing.size() < kListingBytesMax) listing.append(piece.data(), got);
  ::pclose(pipe);
  return failed_units(listing);
}

}  // namespace outrider::cli
