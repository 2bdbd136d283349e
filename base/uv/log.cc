// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/uv/journal.h"
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

class LineSink {
 public:
  virtual ~LineSink() = default;
  /// There is room for more than what a short line may still find at the end of a full pipe.
  virtual bool is_read() const { return true; }
  /// Wants the journal's fields rather than a line.
  virtual bool takes_fields() const { return false; }
  /// False: nothing was taken.
  virtual bool put(const std::string& line) = 0;
};

class CallbackSink final : public LineSink {
 public:
  explicit CallbackSink(TakeLine take) : take_(std::move(take)) {}
  bool put(const std::string& line) override {
    take_(line.substr(0, line.size() - 1));
    return true;
  }

 private:
  TakeLine take_;
};

/// Standard error, or another file, written without ever waiting for who reads it: a pipe may be
/// full, a terminal stopped (Ctrl-S), a journal hung.
class FileSink final : public LineSink {
 public:
  explicit FileSink(int given) : given_(given) {
    struct stat file {};
    if (::fstat(given_, &file) != 0) return;
    is_socket_ = S_ISSOCK(file.st_mode);
    // O_NONBLOCK belongs to the open file, which other processes share: so it is opened again.
    const std::string path = "/proc/self/fd/" + std::to_string(given_);
    if (S_ISFIFO(file.st_mode) || ::isatty(given_) == 1)
      own_ = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  }
  ~FileSink() override {
    if (own_ >= 0) ::close(own_);
  }
  FileSink(const FileSink&) = delete;

  bool is_read() const override {
    pollfd wait{fd(), POLLOUT, 0};
    return ::poll(&wait, 1, 0) == 1 && (wait.revents & POLLOUT) != 0;
  }

  /// One call for a line, so that lines of several processes do not mix; what was not taken of the
  /// last one comes first.
  bool put(const std::string& line) override {
    const bool may_block = own_ < 0 && !is_socket_;
    if (may_block && !is_read()) return false;
    if (!rest_.empty()) rest_.erase(0, write(rest_));
    if (!rest_.empty()) return false;
    const std::size_t taken = write(line);
    if (taken > 0) rest_ = line.substr(taken);
    return taken > 0;
  }

 private:
  int fd() const { return own_ >= 0 ? own_ : given_; }

  std::size_t write(std::string_view text) const {
    const ssize_t size = is_socket_
                             ? ::send(fd(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                             : ::write(fd(), text.data(), text.size());
    return size > 0 ? static_cast<std::size_t>(size) : 0;
  }

  int given_;
  int own_ = -1;  // the same file, opened again; -1: a file of a kind that does not block, or a
                  // socket, which has a flag for each call
  bool is_socket_ = false;
  std::string rest_;  // of the last line
};

enum class Colour : std::uint8_t { no, yes };

/// The journal's own socket. Its datagrams are whole or not taken.
class JournalSink final : public LineSink {
 public:
  explicit JournalSink(const char* path)
      : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const std::string_view name = path;
    if (name.size() >= sizeof(to.sun_path)) return;
    std::memcpy(to.sun_path, name.data(), name.size());
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~JournalSink() override {
    if (fd_ >= 0) ::close(fd_);
  }
  JournalSink(const JournalSink&) = delete;

  bool is_connected() const { return connected_; }
  bool takes_fields() const override { return true; }
  bool is_read() const override {
    pollfd wait{fd_, POLLOUT, 0};
    return ::poll(&wait, 1, 0) == 1 && (wait.revents & POLLOUT) != 0;
  }
  bool put(const std::string& line) override {
    return ::send(fd_, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

class LineLog final : public Log {
 public:
  LineLog(const Clock& clock, LogFormat format, Colour colour, std::unique_ptr<LineSink> sink)
      : clock_(clock), format_(format), colour_(colour == Colour::yes), sink_(std::move(sink)) {}
  ~LineLog() override {
    report_suppressed(TimePoint::max());
    report_lost();
  }

 private:
  /// The lines of one event in its current second.
  struct Burst {
    TimePoint begin;
    unsigned lines = 0;
    unsigned left_out = 0;
  };

  void write(LogEvent event, Fields fields) override {
    const TimePoint now = clock_.now();
    report_lost();
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

  /// Lines that the reader of the log did not take, once it reads again.
  void report_lost() {
    if (lost_ == 0 || !sink_->is_read()) return;
    compose(LogEvent::log_lost, {{"lines", lost_}});
    if (sink_->put(line_)) lost_ = 0;
  }

  void emit(LogEvent event, Fields fields) {
    report_lost();
    if (lost_ > 0) {
      ++lost_;
      return;
    }
    compose(event, fields);
    if (!sink_->put(line_)) ++lost_;
  }

  void compose(LogEvent event, Fields fields) {
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
        if (sink_->takes_fields())
          journal_fields(level, name, fields);
        else
          line_ += names_of(level).journal;
        line_ += name;
        append_fields(fields);
        break;
      case LogFormat::json:
        json(level, name, fields);
        break;
    }
    line_ += '\n';
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

  /// All but the text of MESSAGE, which comes last. No value has a line feed after
  /// escape_untrusted.
  void journal_fields(LogLevel level, std::string_view name, Fields fields) {
    line_ += "PRIORITY=";
    line_ += names_of(level).journal[1];
    line_ += "\nSYSLOG_IDENTIFIER=outrider\nOUTRIDER_EVENT=";
    line_ += name;
    for (const LogField& field : fields) {
      if (field.value.empty()) continue;
      line_ += "\nOUTRIDER_";
      for (const char c : std::string_view(field.key))
        line_ += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      line_ += '=';
      line_ += escape_untrusted(field.value);
    }
    line_ += "\nMESSAGE=";
  }

  void append_fields(Fields fields) {
    for (const LogField& field : fields) {
      if (field.value.empty()) continue;
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
      if (!field.value.empty()) member(field.key, field.value);
    line_ += '}';
  }

  const Clock& clock_;
  const LogFormat format_;
  const bool colour_;
  std::unique_ptr<LineSink> sink_;
  std::array<Burst, kEvents.size()> bursts_;
  std::uint64_t lost_ = 0;  // lines since the last one that was written
  std::string line_;
};

Colour wanted_colour() {
  return std::getenv("NO_COLOR") == nullptr ? Colour::yes : Colour::no;
}

}  // namespace

std::unique_ptr<Log> make_journal_log(const Clock& clock, const char* path) {
  auto sink = std::make_unique<JournalSink>(path);
  if (!sink->is_connected()) return nullptr;
  return std::make_unique<LineLog>(clock, LogFormat::journal, Colour::no, std::move(sink));
}

std::unique_ptr<Log> make_stderr_log(const Clock& clock, LogFormat format) {
  struct stat file {};
  if (format == LogFormat::automatic && stderr_is_journal() && ::fstat(STDERR_FILENO, &file) == 0 &&
      S_ISSOCK(file.st_mode))
    if (auto log = make_journal_log(clock, kJournalSocket)) return log;
  const Colour colour = ::isatty(STDERR_FILENO) == 1 ? wanted_colour() : Colour::no;
  return std::make_unique<LineLog>(clock, format == LogFormat::automatic ? choose_format() : format,
                                   colour, std::make_unique<FileSink>(STDERR_FILENO));
}

std::unique_ptr<Log> make_fd_log(const Clock& clock, LogFormat format, int fd) {
  return std::make_unique<LineLog>(clock,
                                   format == LogFormat::automatic ? LogFormat::logfmt : format,
                                   Colour::no, std::make_unique<FileSink>(fd));
}

std::unique_ptr<Log> make_callback_log(const Clock& clock, LogFormat format, TakeLine take) {
  return std::make_unique<LineLog>(clock,
                                   format == LogFormat::automatic ? LogFormat::logfmt : format,
                                   Colour::no, std::make_unique<CallbackSink>(std::move(take)));
}

std::unique_ptr<Log> make_terminal_log(const Clock& clock, LogFormat format, TakeLine take) {
  return std::make_unique<LineLog>(clock, format == LogFormat::automatic ? LogFormat::text : format,
                                   wanted_colour(),
                                   std::make_unique<CallbackSink>(std::move(take)));
}

}  // namespace outrider::uv
