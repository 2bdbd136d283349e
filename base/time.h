// SPDX-License-Identifier: Apache-2.0
// Time as everything here sees it. Logic uses TimePoint only: monotonic, not counting suspend, and
// fixed for one turn of the loop. Wall time is for people: log lines and timestamps in answers.
//
// Nothing outside base/uv and tests/sim reads a clock of the system. Pure code gets `now` as an
// argument; workers ask Env::clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outrider {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

/// A clock that only tags: it cannot be read, so that no code reads it by mistake.
struct MonotonicTime {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<MonotonicTime, Duration>;
  static constexpr bool is_steady = true;
};
using TimePoint = MonotonicTime::time_point;

/// Nanoseconds since 1970-01-01 UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;

  /// Fixed for one turn of the loop. Never goes back.
  virtual TimePoint now() const = 0;
  virtual WallTime wall() const = 0;

  /// How long the machine has been suspended in all (CLOCK_BOOTTIME minus CLOCK_MONOTONIC). A
  /// value that grows between two turns means that the machine slept.
  virtual Duration suspended() const = 0;
};

/// "250ms", "10s", "1m30s", "2h", "1d", "0s". Units: ns us ms s m h d, each at most once, largest
/// first, whole numbers. Nothing for anything else, for signs, and for more than 10 years.
std::optional<Duration> parse_duration(std::string_view text);

/// The shortest form that parse_duration reads back: "250ms", "1m30s", "0s". Negative durations
/// get a leading '-' (parse_duration does not take them).
std::string format_duration(Duration duration);

/// RFC 3339 in UTC with milliseconds: "2026-01-31T09:30:00.123Z".
std::string format_wall_time(WallTime time);

}  // namespace outrider
