// SPDX-License-Identifier: Apache-2.0
#include "base/wall_time.h"

#include <doctest/doctest.h>

namespace outrider {

TEST_CASE("wall time: what is written is read") {
  for (const Duration since :
       {Duration(0), Duration(1'769'851'800'123ms), Duration(std::chrono::hours(24 * 365 * 200))}) {
    const WallTime time(since);
    CHECK(parse_wall_time(format_wall_time(time)) == time);
  }
}

TEST_CASE("wall time: the forms of RFC 3339") {
  const WallTime time{Duration(1'769'851'800s)};
  for (const char* text : {"2026-01-31T09:30:00Z", "2026-01-31t09:30:00z", "2026-01-31 09:30:00Z",
                           "2026-01-31T10:30:00+01:00", "2026-01-31T04:00:00-05:30",
                           "2026-01-31T09:29:60Z", "2026-01-31T09:30:00.000000000Z"}) {
    CAPTURE(text);
    CHECK(parse_wall_time(text) == time);
  }
  CHECK(parse_wall_time("2026-01-31T09:30:00.25Z") == time + 250ms);
  CHECK(parse_wall_time("2026-01-31T09:30:00.000000001Z") == time + 1ns);
  CHECK(parse_wall_time("2024-02-29T00:00:00Z").has_value());
}

TEST_CASE("wall time: everything else is refused") {
  for (const char* text : {"",
                           "2026",
                           "2026-01-31",
                           "2026-01-31T09:30:00",
                           "2026-01-31T09:30Z",
                           "2026-02-29T00:00:00Z",
                           "2026-04-31T00:00:00Z",
                           "2026-13-01T00:00:00Z",
                           "2026-00-01T00:00:00Z",
                           "2026-01-00T00:00:00Z",
                           "2026-01-31T24:00:00Z",
                           "2026-01-31T09:60:00Z",
                           "2026-01-31T09:30:61Z",
                           "2026-01-31T09:30:00.Z",
                           "2026-01-31T09:30:00.0000000001Z",
                           "2026-01-31T09:30:00+01",
                           "2026-01-31T09:30:00+24:00",
                           "2026-01-31T09:30:00Z ",
                           " 2026-01-31T09:30:00Z",
                           "1969-12-31T23:59:59Z",
                           "2200-01-01T00:00:00Z",
                           "2026-1-31T09:30:00Z",
                           "+026-01-31T09:30:00Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_wall_time(text).has_value());
  }
}

}  // namespace outrider
