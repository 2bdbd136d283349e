// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/uv/journal.h"
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

TEST_CASE("fields without a value are left out") {
  for (const LogFormat format :
       {LogFormat::logfmt, LogFormat::journal, LogFormat::text, LogFormat::json}) {
    const FixedClock clock;
    const Captured captured;
    make_stderr_log(clock, format)
        ->record(LogEvent::check_refused, {{"instance", "a"}, {"check", ""}, {"reason", ""}});
    CHECK(captured.text().find("instance") != std::string::npos);
    CHECK(captured.text().find("check\"") == std::string::npos);
    CHECK(captured.text().find("check=") == std::string::npos);
    CHECK(captured.text().find("reason") == std::string::npos);
  }
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

/// A socket where the journal's would be.
class Journal {
 public:
  Journal() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    char folder[] = "/tmp/outrider_journal_XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    folder_ = folder;
    path_ = folder_ + "/socket";
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path_.copy(at.sun_path, sizeof(at.sun_path) - 1);
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) == 0);
  }
  ~Journal() {
    ::close(fd_);
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  const char* path() const { return path_.c_str(); }
  /// The next datagram; empty if there is none.
  std::string take() const {
    std::string text(64 * 1024, '\0');
    const ssize_t size = ::recv(fd_, text.data(), text.size(), MSG_DONTWAIT);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
  }

 private:
  int fd_;
  std::string folder_, path_;
};

TEST_CASE("systemd's journal gets an event with its fields, which no value can add to") {
  const FixedClock clock;
  const Journal journal;
  const auto log = make_journal_log(clock, journal.path());
  REQUIRE(log != nullptr);
  log->record(LogEvent::check_refused,
              {{"instance", "a b"}, {"check", 503}, {"reason", "x\nPRIORITY=0"}});
  CHECK(journal.take() ==
        "PRIORITY=4\nSYSLOG_IDENTIFIER=outrider\nOUTRIDER_EVENT=check_refused\n"
        "OUTRIDER_INSTANCE=a b\nOUTRIDER_CHECK=503\nOUTRIDER_REASON=x\\x0aPRIORITY=0\n"
        "MESSAGE=check_refused instance=\"a b\" check=503 reason=\"x\\\\x0aPRIORITY=0\"\n");
  CHECK(make_journal_log(clock, "/tmp/outrider_nobody") == nullptr);
  CHECK(make_journal_log(clock, std::string(200, 'x').c_str()) == nullptr);
}

TEST_CASE("events that the journal has no room for are counted, and reported once it reads again") {
  FixedClock clock;
  const Journal journal;
  const auto log = make_journal_log(clock, journal.path());
  REQUIRE(log != nullptr);
  constexpr int kMore = 2'000;  // than a queue of datagrams holds
  for (int i = 0; i < kMore; ++i) {
    log->record(LogEvent::agent_ready);
    clock.time += 1s;
  }
  int taken = 0;
  while (!journal.take().empty())
    ++taken;
  REQUIRE(taken > 0);
  log->record(LogEvent::agent_ready);
  CHECK(journal.take().find("\nOUTRIDER_LINES=" + std::to_string(kMore - taken) + "\n") !=
        std::string::npos);
  CHECK(journal.take().find("OUTRIDER_EVENT=agent_ready") != std::string::npos);
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

// Stderr as one end of a pipe, socket or terminal that is read only when the test says so.
class Reader {
 public:
  Reader(int read_end, int write_end) : old_(::dup(STDERR_FILENO)), fd_(read_end) {
    ::dup2(write_end, STDERR_FILENO);
    ::close(write_end);
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
  }
  ~Reader() {
    ::dup2(old_, STDERR_FILENO);
    ::close(old_);
    ::close(fd_);
  }
  /// Everything that can be read now.
  std::string take() const {
    std::string text, piece(64 * 1024, '\0');
    for (ssize_t size = 0; (size = ::read(fd_, piece.data(), piece.size())) > 0;)
      text.append(piece, 0, static_cast<std::size_t>(size));
    return text;
  }
  int fd() const { return fd_; }

 private:
  int old_, fd_;
};

std::size_t events_of(const std::string& text, std::string_view name) {
  std::size_t count = 0;
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1))
    ++count;
  return count;
}

/// Logs much more than fits while nothing reads: it returns, and what was lost is reported.
void expect_no_waiting(const Reader& reader, FixedClock& clock, Log& log) {
  constexpr std::size_t kWritten = 4'000;
  for (std::size_t i = 0; i < kWritten; ++i) {
    clock.time += 1s;
    log.record(LogEvent::check_refused,
               {{"instance", "a"}, {"check", "c"}, {"reason", std::string(600, 'x')}});
  }
  std::string text = reader.take();
  CHECK(events_of(text, "log_lost") == 0);
  // A line of which a part was taken is completed first; a socket takes more only then.
  std::size_t rounds = 0;
  while (events_of(text, "log_lost") == 0 && ++rounds < 100) {
    log.record(LogEvent::agent_ready);
    text += reader.take();
  }
  const std::size_t whole = events_of(text, "check_refused");
  CHECK(whole > 0);
  CHECK(whole < kWritten);
  // Nothing is lost uncounted: one agent_ready was written behind the report, and the others before
  // it are among those lost.
  CHECK(text.find("log_lost lines=" + std::to_string(kWritten - whole + rounds - 1) + '\n') !=
        std::string::npos);
  CHECK(text.ends_with("agent_ready\n"));
  CHECK(events_of(text, "\n<") == lines_of(text) - 1);  // every line begins at its beginning
}

TEST_CASE("a full pipe that no reader empties delays nothing, and lost lines are counted") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  FixedClock clock;
  const Reader reader(ends[0], ends[1]);
  const auto log = make_stderr_log(clock, LogFormat::journal);
  expect_no_waiting(reader, clock, *log);
  // The flags of standard error itself are not ours to change: other processes have it, too.
  CHECK((::fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("a hung journal, whose socket is full, delays nothing") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  FixedClock clock;
  const Reader reader(ends[0], ends[1]);
  const auto log = make_stderr_log(clock, LogFormat::journal);
  expect_no_waiting(reader, clock, *log);
}

TEST_CASE("a terminal that was stopped with Ctrl-S delays nothing") {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  FixedClock clock;
  const Reader reader(master, terminal);
  const auto log = make_stderr_log(clock, LogFormat::journal);
  REQUIRE(::tcflow(STDERR_FILENO, TCOOFF) == 0);
  for (int i = 0; i < 3; ++i)
    log->record(LogEvent::avahi_connected);
  CHECK(reader.take().empty());
  REQUIRE(::tcflow(STDERR_FILENO, TCOON) == 0);
  log->record(LogEvent::agent_ready);
  CHECK(reader.take().find("log_lost lines=3\r\n<6>agent_ready") != std::string::npos);
}

}  // namespace
}  // namespace outrider::uv
