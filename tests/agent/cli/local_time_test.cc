// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/local_time.h"

#include <cstdlib>
#include <ctime>

#include <doctest/doctest.h>

#include "base/wall_time.h"

namespace outrider::cli {
namespace {

/// The local time zone, for one test.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* const was = std::getenv("TZ")) before_ = was;
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  ~Zone() {
    if (before_.empty())
      ::unsetenv("TZ");
    else
      ::setenv("TZ", before_.c_str(), 1);
    ::tzset();
  }

 private:
  std::string before_;
};

WallTime utc(const char* text) {
  const auto time = parse_wall_time(text);
  REQUIRE(time.has_value());
  return *time;
}

}  // namespace

TEST_CASE("local time: a time of day is that of today, or of yesterday if it lies ahead") {
  const Zone zone("<+02>-2");
  const WallTime now = utc("2026-03-01T10:30:00Z");  // 12:30 here
  CHECK(parse_local_moment("12:03:10", now) == utc("2026-03-01T10:03:10Z"));
  CHECK(parse_local_moment("12:03", now) == utc("2026-03-01T10:03:00Z"));
  CHECK(parse_local_moment("12:03:10.25", now) == utc("2026-03-01T10:03:10.250Z"));
  CHECK(parse_local_moment("12:30:00", now) == now);
  CHECK(parse_local_moment("12:30:01", now) == utc("2026-02-28T10:30:01Z"));
  CHECK(parse_local_moment("00:15:00", now) == utc("2026-02-28T22:15:00Z"));
}

TEST_CASE("local time: RFC 3339 and durations do not depend on the zone") {
  const Zone zone("<+02>-2");
  const WallTime now = utc("2026-03-01T10:30:00Z");
  CHECK(parse_local_moment("2026-03-01T08:00:00Z", now) == utc("2026-03-01T08:00:00Z"));
  CHECK(parse_local_moment("5m", now) == now - 5min);
  for (const char* wrong : {"", "noon", "12", "12:3", "24:00", "12:60", "12:03:10x", "-5m", "1:02"})
    CHECK_FALSE(parse_local_moment(wrong, now).has_value());
}

TEST_CASE("local time: the day is written if it is another one") {
  const Zone zone("<+02>-2");
  const WallTime now = utc("2026-03-01T10:30:00Z");
  CHECK(local_text(utc("2026-03-01T10:03:10.250Z"), now) == "12:03:10.250");
  CHECK(local_text(utc("2026-02-28T22:00:00Z"), now) == "00:00:00.000");
  CHECK(local_text(utc("2026-02-28T21:59:59Z"), now) == "2026-02-28 23:59:59.000");
}

}  // namespace outrider::cli
