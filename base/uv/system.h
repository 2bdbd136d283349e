// SPDX-License-Identifier: Apache-2.0
// The rest of the machine: unpredictable randomness and the log.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/random.h"
#include "base/time.h"

namespace outrider::uv {

/// From getrandom(2), a page at a time; unpredictable.
class SystemRandom final : public Random {
 public:
  std::uint64_t u64() override;

 private:
  std::array<std::uint64_t, 64> pool_{};
  std::size_t left_ = 0;
};

/// The monotonic clock, for who waits outside of a turn; within one, Env::clock says the time.
TimePoint now_outside();

enum class LogFormat : std::uint8_t { automatic, text, logfmt, journal, json };

/// Writes to stderr. automatic: text (with colour) on a terminal, <N>-prefixed lines where
/// $JOURNAL_STREAM names stderr, else logfmt with a timestamp. Limits one event to kLogBurst lines
/// a second and says how many it left out. Never waits for the reader of stderr: lines that it does
/// not take are counted, and reported once it reads again.
inline constexpr unsigned kLogBurst = 20;
std::unique_ptr<Log> make_stderr_log(const Clock& clock, LogFormat format);
/// The same, to a descriptor that stays its owner's; automatic: logfmt.
std::unique_ptr<Log> make_fd_log(const Clock& clock, LogFormat format, int fd);
/// The same; each line is one call, without its line feed.
using TakeLine = std::function<void(const std::string& line)>;
std::unique_ptr<Log> make_callback_log(const Clock& clock, LogFormat format, TakeLine take);
/// The same, for lines that the caller writes to the terminal that stderr is; automatic: text. Text
/// has colour unless $NO_COLOR is set.
std::unique_ptr<Log> make_terminal_log(const Clock& clock, LogFormat format, TakeLine take);

}  // namespace outrider::uv
