// SPDX-License-Identifier: Apache-2.0
#include "base/wall_time.h"

namespace outrider {
namespace {

using namespace std::chrono;

/// Takes the text apart from its beginning; after a mistake everything fails.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool done() const { return right_ && rest_.empty(); }
  bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }
  bool next_is_digit() const {
    return !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9';
  }
  char any_of(std::string_view allowed) {
    if (rest_.empty() || allowed.find(rest_.front()) == std::string_view::npos) return fail(), ' ';
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  int number(int digits, int least, int most) {
    int value = 0;
    for (int i = 0; i < digits; ++i)
      value = value * 10 + (any_of("0123456789") - '0');
    if (value < least || value > most) fail();
    return value;
  }

 private:
  void fail() { right_ = false; }

  std::string_view rest_;
  bool right_ = true;
};

Duration read_decimals(Reader& in) {
  if (!in.next_is('.')) return {};
  in.any_of(".");
  Duration decimals{};
  Duration unit = 100ms;
  do {
    decimals += in.number(1, 0, 9) * unit;
    unit /= 10;
  } while (in.next_is_digit() && unit > Duration::zero());
  return decimals;
}

minutes read_offset(Reader& in) {
  const char sign = in.any_of("Zz+-");
  if (sign != '+' && sign != '-') return {};
  const hours h(in.number(2, 0, 23));
  in.any_of(":");
  const minutes offset = h + minutes(in.number(2, 0, 59));
  return sign == '-' ? -offset : offset;
}

}  // namespace

std::optional<WallTime> parse_wall_time(std::string_view text) {
  constexpr int kFirstYear = 1970, kLastYear = 2199;  // nanoseconds reach until 2262
  Reader in(text);
  const year y(in.number(4, kFirstYear, kLastYear));
  in.any_of("-");
  const month m(static_cast<unsigned>(in.number(2, 1, 12)));
  in.any_of("-");
  const day d(static_cast<unsigned>(in.number(2, 1, 31)));
  in.any_of("Tt ");
  const hours h(in.number(2, 0, 23));
  in.any_of(":");
  const minutes min(in.number(2, 0, 59));
  in.any_of(":");
  const seconds s(in.number(2, 0, 60));
  const Duration decimals = read_decimals(in);
  const minutes offset = read_offset(in);
  const year_month_day date(y, m, d);
  if (!in.done() || !date.ok()) return std::nullopt;
  return WallTime(sys_days(date).time_since_epoch()) + h + min + s + decimals - offset;
}

}  // namespace outrider
