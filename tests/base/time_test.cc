// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("durations read and print") {
  struct Row {
    const char* text;
    Duration value;
  };
  const Row rows[] = {{"0s", 0s},   {"250ms", 250ms},    {"10s", 10s},
                      {"1m", 60s},  {"1m30s", 90s},      {"2h", 2h},
                      {"1d", 24h},  {"1h0m5s", 1h + 5s}, {"3650d", 24h * 3650},
                      {"7us", 7us}, {"1s5ns", 1s + 5ns}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(parse_duration(row.text) == row.value);
    CHECK(parse_duration(format_duration(row.value)) == row.value);
  }
  CHECK(format_duration(90s) == "1m30s");
  CHECK(format_duration(-90s) == "-1m30s");
  CHECK(format_duration(0s) == "0s");
}

TEST_CASE("what is no duration is refused") {
  for (const char* text : {"", "10", "s", "-1s", "+1s", "1 s", "1s1m", "1s1s", "1.5s", "3651d",
                           "99999999999999999999s", "1S", "1sec"}) {
    CAPTURE(text);
    CHECK(!parse_duration(text));
  }
}

TEST_CASE("wall time prints as RFC 3339 in UTC") {
  CHECK(format_wall_time(WallTime(1'769'851'800'123ms)) == "2026-01-31T09:30:00.123Z");
  CHECK(format_wall_time(WallTime(0s)) == "1970-01-01T00:00:00.000Z");
}

}  // namespace
}  // namespace outrider
