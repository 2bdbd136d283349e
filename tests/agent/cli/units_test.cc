// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <doctest/doctest.h>

namespace outrider::cli {
namespace {

TEST_CASE("units that failed or are restarted again and again are found in systemd's listing") {
  const auto failed = failed_units(
      "outrider-dns.socket     loaded active     running      Local DNS of Outrider\n"
      "outrider.service        loaded failed     failed       Outrider service discovery\n"
      "outrider@hello.service  loaded activating auto-restart Service agent for hello\n"
      "outrider@fresh.service  loaded activating start        Service agent for fresh\n"
      "outrider@off.service    loaded inactive   dead         Service agent for off\n"
      "\n"
      "outrider@cut.service");
  REQUIRE(failed.size() == 2);
  CHECK(failed[0].name == "outrider.service");
  CHECK_FALSE(failed[0].restarts);
  CHECK(failed[1].name == "outrider@hello.service");
  CHECK(failed[1].restarts);
  CHECK(failed_units("").empty());
}

TEST_CASE("no more failed units are reported than anyone reads") {
  std::string listing;
  for (std::size_t i = 0; i <= kFailedUnitsMax; ++i)
    listing += "outrider@" + std::to_string(i) + ".service loaded failed failed x\n";
  CHECK(failed_units(listing).size() == kFailedUnitsMax);
}

}  // namespace
}  // namespace outrider::cli
