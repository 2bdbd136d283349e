// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/scenario.h"

#include <doctest/doctest.h>

#include "tests/scenarios/script.h"

namespace outrider::test {
namespace {

TEST_CASE("every scenario goes as it is told") {
  const std::vector<std::string> files = files_of(SCENARIO_DIR, ".scn");
  REQUIRE(files.size() >= 5);
  for (const std::string& file : files) {
    const std::string wrong = run_scenario(file);
    CHECK_MESSAGE(wrong.empty(), wrong);
  }
}

}  // namespace
}  // namespace outrider::test
