// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdlib>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "base/uv/system.h"

namespace outrider::uv {
namespace {

constexpr Duration kLogWindow = std::chrono::seconds(1);

struct LevelNames {
  std::string_view tag;      // text
  std::string_view colour;   // text
  std::string_view journal;  // syslog priority, sd-daemon(3)
};

const LevelNames& names_of(LogLevel level) {
  static constexpr std::array<LevelNames, 4> kNames{{
      {"DBG", "\x1b[2m", "<7>"},
      {"INF", "\x1b[32m", "<6>"},
      {"WRN", "\x1b[33m", "<4>"},
      {"ERR", "\x1b[31m", "<3>"},
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
  /// The lines of one event in its current second.
  struct Burst {
    TimePoint begin;
    unsigned lines = 0;
    unsigned left_out = 0;
  };

  void write(LogEvent event, Fields fields) override {
    const TimePoint now = clock_.now();
    report_suppressed(now);
    Burst& burst = bursts_[static_cast<std::size_t>(event)];
    if (now - burst.begin >= kLogWindow) burst = {now};
    if (burst.lines >= kLogBurst) {
      ++burst.left_out;
      return;
    }
    ++burst.lines;
    emit(event, fields);
  }

  void report_suppressed(TimePoint now) {
    for (const EventSpec& spec : kEvents) {
      Burst& burst = bursts_[static_cast<std::size_t>(spec.event)];
      if (burst.left_out == 0 || now - burst.begin < kLogWindow) continue;
      emit(LogEvent::log_suppressed,
           {{"of", spec.name}, {"lines", std::exchange(burst.left_out, 0U)}});
    }
  }

  void emit(LogEvent event, Fields fields) {
    const std::string_view name = spec_of(event).name;
    const LogLevel level = spec_of(event).level;
    line_.clear();
    switch (format_) {
      case LogFormat::automatic:
      case LogFormat::text:
        text(level, name, fields);
        break;
      case LogFormat::logfmt:
        line_ += "time=" + format_wall_time(clock_.wall()) + " level=";
        line_ += to_string(level);
        line_ += " event=";
        line_ += name;
        append_fields(fields);
        break;
      case LogFormat::journal:
        line_ += names_of(level).journal;
        line_ += name;
        append_fields(fields);
        break;
      case LogFormat::json:
        json(level, name, fields);
        break;
    }
    line_ += '\n';
    // One call per line, so that lines of several processes do not mix. What a full pipe does not
    // take is lost: an agent must not hang on its log.
    static_cast<void>(!::write(STDERR_FILENO, line_.data(), line_.size()));
  }

  void text(LogLevel level, std::string_view name, Fields fields) {
    const LevelNames& names = names_of(level);
    // "2026-01-31T09:30:00.123Z": only the time of day on a terminal.
    line_ += format_wall_time(clock_.wall()).substr(11, 12);
    line_ += ' ';
    if (colour_) line_ += names.colour;
    line_ += names.tag;
    if (colour_) line_ += "\x1b[0m";
    line_ += ' ';
    line_ += name;
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

  void json(LogLevel level, std::string_view name, Fields fields) {
    const auto member = [this](std::string_view key, std::string_view value) {
      line_ += line_.empty() ? '{' : ',';
      append_quoted(line_, key);
      line_ += ':';
      append_quoted(line_, escape_untrusted(value));
    };
    member("time", format_wall_time(clock_.wall()));
    member("level", to_string(level));
    member("event", name);
    for (const LogField& field : fields)
      member(field.key, field.value);
    line_ += '}';
  }

  const Clock& clock_;
  const LogFormat format_;
  const bool colour_;
  std::array<Burst, kEvents.size()> bursts_;
  std::string line_;
};

}  // namespace

std::unique_ptr<Log> make_stderr_log(const Clock& clock, LogFormat format) {
  return std::make_unique<StderrLog>(clock, format);
}

}  // namespace outrider::uv
