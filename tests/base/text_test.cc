// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("lines and words of a table") {
  std::string_view text = "  sl  local\r\n\n0: \t00:1F 07\nlast";
  auto line = take_line(text);
  REQUIRE(line.has_value());
  CHECK(take_word(*line) == "sl");
  CHECK(take_word(*line) == "local");
  CHECK(take_word(*line).empty());
  CHECK(take_line(text) == "");
  line = take_line(text);
  CHECK(take_word(*line) == "0:");
  CHECK(take_word(*line) == "00:1F");
  CHECK(take_line(text) == "last");
  CHECK_FALSE(take_line(text).has_value());
}

TEST_CASE("a number with its noun agrees, and has its thousands marked") {
  CHECK(counted(0, "service") == "0 services");
  CHECK(counted(1, "service") == "1 service");
  CHECK(counted(2, "pass") == "2 passes");
  CHECK(counted(999, "name") == "999 names");
  CHECK(counted(1'024, "name") == "1,024 names");
  CHECK(counted(1'234'567, "octet") == "1,234,567 octets");
}

}  // namespace
}  // namespace outrider
