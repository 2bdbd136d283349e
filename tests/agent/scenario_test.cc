// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/scenario.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include <doctest/doctest.h>

namespace outrider::test {
namespace {

TEST_CASE("every scenario goes as it is told") {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(SCENARIO_DIR))
    files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() >= 5);
  for (const std::string& file : files) {
    const std::string wrong = run_scenario(file);
    CHECK_MESSAGE(wrong.empty(), wrong);
  }
}

}  // namespace
}  // namespace outrider::test
