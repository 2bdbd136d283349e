// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/local_time.h"

#include <ctime>

#include "base/uv/loop.h"
#include "base/wall_time.h"

namespace outrider::cli {
namespace {

using std::chrono::floor;
using std::chrono::seconds;

std::tm local_parts(WallTime when) {
  const std::time_t whole = floor<seconds>(when.time_since_epoch()).count();
  std::tm parts{};
  ::localtime_r(&whole, &parts);
  return parts;
}

/// This time of the day, `days` before the day of `now`.
std::optional<WallTime> on_day(WallTime now, int days, Duration time_of_day) {
  std::tm parts = local_parts(now);
  const auto whole = floor<seconds>(time_of_day);
  parts.tm_mday -= days;
  parts.tm_hour = static_cast<int>(whole.count() / 3'600);
  parts.tm_min = static_cast<int>(whole.count() / 60 % 60);
  parts.tm_sec = static_cast<int>(whole.count() % 60);
  parts.tm_isdst = -1;
  const std::time_t at = std::mktime(&parts);
  if (at == -1) return std::nullopt;
  return WallTime(seconds(at)) + (time_of_day - whole);
}

}  // namespace

std::optional<WallTime> parse_local_moment(std::string_view text, WallTime now) {
  if (const auto ago = parse_duration(text)) return now - *ago;
  if (const auto moment = parse_wall_time(text)) return moment;
  const std::string whole = std::string(text) + (text.size() == 5 ? ":00" : "");
  const auto time_of_day = parse_wall_time("1970-01-01T" + whole + 'Z');
  if (!time_of_day || whole.size() < 8) return std::nullopt;
  const auto today = on_day(now, 0, time_of_day->time_since_epoch());
  return today && *today > now ? on_day(now, 1, time_of_day->time_since_epoch()) : today;
}

std::string local_text(WallTime when, WallTime now) {
  const std::tm parts = local_parts(when), today = local_parts(now);
  const bool other_day = parts.tm_yday != today.tm_yday || parts.tm_year != today.tm_year;
  char text[64];
  const std::size_t length =
      std::strftime(text, sizeof text, other_day ? "%Y-%m-%d %H:%M:%S" : "%H:%M:%S", &parts);
  const std::string decimals = format_wall_time(when).substr(19, 4);
  return std::string(text, length) + decimals;
}

WallTime wall_now() {
  return uv::Loop().clock().wall();
}

}  // namespace outrider::cli
