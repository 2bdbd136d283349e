// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/uv/system.h"

namespace outrider::uv {
namespace {

struct FixedClock final : Clock {
  TimePoint time{};
  TimePoint now() const override { return time; }
  WallTime wall() const override { return WallTime(1'769'851'800'123ms); }
  Duration suspended() const override { return {}; }
};

// Stderr as a file, for as long as it lives.
class Captured {
 public:
  Captured() : old_(::dup(STDERR_FILENO)) {
    char path[] = "/tmp/outrider_log_XXXXXX";
    file_ = ::mkstemp(path);
    ::unlink(path);
    ::dup2(file_, STDERR_FILENO);
  }
  ~Captured() {
    ::dup2(old_, STDERR_FILENO);
    ::close(old_);
    ::close(file_);
  }
  std::string text() const {
    std::string content(64 * 1024, '\0');
    content.resize(static_cast<std::size_t>(::pread(file_, content.data(), content.size(), 0)));
    return content;
  }

 private:
  int old_;
  int file_ = -1;
};

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::string one_line(LogFormat format) {
  const FixedClock clock;
  const Captured captured;
  auto log = make_stderr_log(clock, format);
  log->record(LogEvent::check_refused,
              {{"instance", "a b"}, {"check", 503}, {"reason", "\x1b[2J\"\\"}});
  return captured.text();
}

TEST_CASE("each format has one line for each event, with foreign bytes escaped") {
  CHECK(
      one_line(LogFormat::logfmt) ==
      "time=2026-01-31T09:30:00.123Z level=warning event=check_refused instance=\"a b\" check=503 "
      "reason=\"\\\\x1b[2J\\\"\\\\x5c\"\n");
  CHECK(one_line(LogFormat::journal) ==
        "<4>check_refused instance=\"a b\" check=503 reason=\"\\\\x1b[2J\\\"\\\\x5c\"\n");
  CHECK(one_line(LogFormat::text) ==
        "09:30:00.123 WRN check_refused instance=\"a b\" check=503 "
        "reason=\"\\\\x1b[2J\\\"\\\\x5c\"\n");
  CHECK(one_line(LogFormat::json) ==
        "{\"time\":\"2026-01-31T09:30:00.123Z\",\"level\":\"warning\",\"event\":\"check_refused\","
        "\"instance\":\"a b\",\"check\":\"503\",\"reason\":\"\\\\x1b[2J\\\"\\\\x5c\"}\n");
}

TEST_CASE("automatic is logfmt on a file, and the journal's form where JOURNAL_STREAM names it") {
  ::unsetenv("JOURNAL_STREAM");
  CHECK(one_line(LogFormat::automatic).starts_with("time="));
  const FixedClock clock;
  const Captured captured;
  struct stat file {};
  ::fstat(STDERR_FILENO, &file);
  const std::string stream = std::to_string(file.st_dev) + ':' + std::to_string(file.st_ino);
  ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
  make_stderr_log(clock, LogFormat::automatic)->record(LogEvent::agent_ready);
  ::setenv("JOURNAL_STREAM", "1:1", 1);
  make_stderr_log(clock, LogFormat::automatic)->record(LogEvent::agent_ready);
  ::unsetenv("JOURNAL_STREAM");
  const std::string text = captured.text();
  CHECK(text.starts_with("<6>agent_ready\ntime="));
}

TEST_CASE("an event is limited to kLogBurst lines a second, and the rest is counted") {
  FixedClock clock;
  const Captured captured;
  auto log = make_stderr_log(clock, LogFormat::journal);
  for (unsigned i = 0; i < kLogBurst + 7; ++i)
    log->record(LogEvent::avahi_connected);
  log->record(LogEvent::agent_ready);
  CHECK(lines_of(captured.text()) == kLogBurst + 1);
  clock.time += 1s;
  log->record(LogEvent::avahi_connected);
  const std::string text = captured.text();
  CHECK(lines_of(text) == kLogBurst + 3);
  CHECK(text.find("<4>log_suppressed of=avahi_connected lines=7\n<6>avahi_connected\n") !=
        std::string::npos);
}

TEST_CASE("lines that were left out are reported at the end at the latest") {
  const FixedClock clock;
  const Captured captured;
  {
    auto log = make_stderr_log(clock, LogFormat::journal);
    for (unsigned i = 0; i < kLogBurst + 1; ++i)
      log->record(LogEvent::avahi_connected);
  }
  CHECK(captured.text().ends_with("<4>log_suppressed of=avahi_connected lines=1\n"));
}

}  // namespace
}  // namespace outrider::uv
