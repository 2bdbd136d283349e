// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "base/uv/system.h"

namespace outrider::uv {
namespace {

/// Kinds of events that are limited each on its own; beyond it the oldest one is forgotten.
constexpr std::size_t kLogEventsMax = 128;
constexpr Duration kLogWindow = std::chrono::seconds(1);
constexpr std::string_view kSuppressed = "log_suppressed";

struct LevelNames {
  std::string_view name;     // logfmt, json
  std::string_view tag;      // text
  std::string_view colour;   // text
  std::string_view journal;  // syslog priority, sd-daemon(3)
};

const LevelNames& names_of(LogLevel level) {
  static constexpr std::array<LevelNames, 4> kNames{{
      {"debug", "DBG", "\x1b[2m", "<7>"},
      {"info", "INF", "\x1b[32m", "<6>"},
      {"warning", "WRN", "\x1b[33m", "<4>"},
      {"error", "ERR", "\x1b[31m", "<3>"},
  }};
  return kNames[static_cast<std::size_t>(level)];
}

/// In quotes. The text is printable ASCII after escape_untrusted, so that these two escapes are
/// all that logfmt and JSON need.
void append_quoted(std::string& line, std::string_view text) {
  line += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
  }
  line += '"';
}

void append_logfmt(std::string& line, std::string_view value) {
  const std::string escaped = escape_untrusted(value);
  const bool plain = !escaped.empty() && escaped.find_first_of(" =\"\\") == std::string::npos;
  if (plain)
    line += escaped;
  else
    append_quoted(line, escaped);
}

/// systemd names the journal's stream as "device:inode" (systemd.exec(5), $JOURNAL_STREAM).
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat file {};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &file) != 0) return false;
  return std::to_string(file.st_dev) + ':' + std::to_string(file.st_ino) == stream;
}

LogFormat choose_format() {
  if (stderr_is_journal()) return LogFormat::journal;
  return ::isatty(STDERR_FILENO) == 1 ? LogFormat::text : LogFormat::logfmt;
}

class StderrLog final : public Log {
 public:
  StderrLog(const Clock& clock, LogFormat format)
      : clock_(clock),
        format_(format == LogFormat::automatic ? choose_format() : format),
        colour_(::isatty(STDERR_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr) {}
  ~StderrLog() override { report_suppressed(TimePoint::max()); }

 private:
  struct Event {
    std::string name;
    TimePoint window;  // when its current second began
    unsigned lines;
    unsigned left_out;
  };

  void write(LogLevel level, std::string_view event, Fields fields) override {
    const TimePoint now = clock_.now();
    report_suppressed(now);
    Event& seen = find(event, now);
    if (seen.lines >= kLogBurst) {
      ++seen.left_out;
      return;
    }
    ++seen.lines;
    emit(level, event, fields);
  }

  Event& find(std::string_view name, TimePoint now) {
    for (Event& event : events_) {
      if (event.name != name) continue;
      if (now - event.window >= kLogWindow) {
        event.window = now;
        event.lines = 0;
      }
      return event;
    }
    if (events_.size() >= kLogEventsMax) {
      const auto oldest =
          std::min_element(events_.begin(), events_.end(),
                           [](const Event& a, const Event& b) { return a.window < b.window; });
      report_suppressed(*oldest);
      events_.erase(oldest);
    }
    return events_.emplace_back(Event{std::string(name), now, 0, 0});
  }

  void report_suppressed(TimePoint now) {
    for (Event& event : events_)
      if (now - event.window >= kLogWindow) report_suppressed(event);
  }

  void report_suppressed(Event& event) {
    const unsigned lines = std::exchange(event.left_out, 0U);
    if (lines != 0) emit(LogLevel::warning, kSuppressed, {{"of", event.name}, {"lines", lines}});
  }

  void emit(LogLevel level, std::string_view event, Fields fields) {
    line_.clear();
    switch (format_) {
      case LogFormat::automatic:
      case LogFormat::text:
        text(level, event, fields);
        break;
      case LogFormat::logfmt:
        line_ += "time=" + format_wall_time(clock_.wall()) + " level=";
        line_ += names_of(level).name;
        line_ += " event=";
        line_ += event;
        append_fields(fields);
        break;
      case LogFormat::journal:
        line_ += names_of(level).journal;
        line_ += event;
        append_fields(fields);
        break;
      case LogFormat::json:
        json(level, event, fields);
        break;
    }
    line_ += '\n';
    // One call per line, so that lines of several processes do not mix. What a full pipe does not
    // take is lost: an agent must not hang on its log.
    static_cast<void>(!::write(STDERR_FILENO, line_.data(), line_.size()));
  }

  void text(LogLevel level, std::string_view event, Fields fields) {
    const LevelNames& names = names_of(level);
    // "2026-01-31T09:30:00.123Z": people want the time of day.
    line_ += format_wall_time(clock_.wall()).substr(11, 12);
    line_ += ' ';
    if (colour_) line_ += names.colour;
    line_ += names.tag;
    if (colour_) line_ += "\x1b[0m";
    line_ += ' ';
    line_ += event;
    append_fields(fields);
  }

  void append_fields(Fields fields) {
    for (const LogField& field : fields) {
      line_ += ' ';
      line_ += field.key;
      line_ += '=';
      append_logfmt(line_, field.value);
    }
  }

  void json(LogLevel level, std::string_view event, Fields fields) {
    const auto member = [this](std::string_view key, std::string_view value) {
      line_ += line_.empty() ? '{' : ',';
      append_quoted(line_, key);
      line_ += ':';
      append_quoted(line_, escape_untrusted(value));
    };
    member("time", format_wall_time(clock_.wall()));
    member("level", names_of(level).name);
    member("event", event);
    for (const LogField& field : fields)
      member(field.key, field.value);
    line_ += '}';
  }

  const Clock& clock_;
  const LogFormat format_;
  const bool colour_;
  std::vector<Event> events_;
  std::string line_;
};

}  // namespace

std::unique_ptr<Log> make_stderr_log(const Clock& clock, LogFormat format) {
  return std::make_unique<StderrLog>(clock, format);
}

}  // namespace outrider::uv
