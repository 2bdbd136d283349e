// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/terminal.h"

#include <array>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text_file.h"

namespace outrider::cli::beside {
namespace {

/// Another opening of a terminal: not to wait on it is then no matter of the program's.
int open_again(int terminal, int mode) {
  const char* const path = ::ttyname(terminal);
  return path == nullptr ? -1 : ::open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

bool is_writable(Duration patience) {
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  const auto limit = std::chrono::floor<std::chrono::milliseconds>(patience);
  return ::poll(&ready, 1, static_cast<int>(limit.count())) == 1 && (ready.revents & POLLOUT) != 0;
}

/// Whether a program draws on the whole screen, as editors and everything with curses do: those
/// move the cursor themselves, and a line feed of ours would only go down.
bool draws_screen(int terminal) {
  termios modes{};
  constexpr tcflag_t kNewLines = OPOST | ONLCR;
  return ::tcgetattr(terminal, &modes) == 0 && (modes.c_oflag & kNewLines) != kNewLines;
}

bool is_in_foreground(int terminal) {
  return ::tcgetpgrp(terminal) == ::getpgrp();
}

}  // namespace

void write_line(std::string_view line) {
  if (is_writable(Duration::zero())) write_all(STDERR_FILENO, line);
}

void write_last_line(std::string_view line) {
  if (is_writable(kLastLinePatience)) write_all(STDERR_FILENO, line);
}

bool has_screen() {
  if (::isatty(STDERR_FILENO) != 1) return false;
  // After su(1), the terminal is another user's, and only what is open already can be written to.
  if (const int fd = open_again(STDERR_FILENO, O_WRONLY); fd < 0 || ::close(fd) != 0) return false;
  const char* const ci = std::getenv("CI");
  const std::string_view value = ci == nullptr ? "" : ci;
  return value.empty() || value == "0" || value == "false";
}

Descriptor::~Descriptor() {
  close();
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

void Descriptor::close() {
  if (fd_ >= 0) ::close(release());
}

SavedModes::SavedModes() {
  for (const int fd : {STDIN_FILENO, STDERR_FILENO}) {
    termios modes{};
    if (::tcgetattr(fd, &modes) != 0) continue;
    fd_ = fd;
    modes_ = modes;
    return;
  }
}

void SavedModes::restore() const {
  if (modes_ && is_in_foreground(fd_)) ::tcsetattr(fd_, TCSANOW, &*modes_);
}

Terminal::Terminal(Env& env) : env_(env), out_(open_again(STDERR_FILENO, O_WRONLY)) {}

Terminal::~Terminal() {
  write_all(STDERR_FILENO, waiting_);
}

void Terminal::say(std::string_view lines) {
  held_.add(lines);
  if (!held_timer_.pending()) show_held();
}

void Terminal::show_held() {
  if (!released_ && draws_screen(out_.get())) {
    held_timer_ = env_.after(kHeldAgain, [this] { show_held(); });
    return;
  }
  waiting_ += held_.take();
  flush();
}

void Terminal::release() {
  released_ = true;
  held_timer_.reset();
  show_held();
}

/// Octets of whole lines that the terminal takes at once or not at all, unless it is full.
std::size_t Terminal::next_lines() const {
  const std::size_t end = waiting_.rfind('\n', kTerminalWriteMax - 1);
  return end == std::string::npos ? waiting_.size() : end + 1;
}

void Terminal::flush() {
  while (!waiting_.empty()) {
    const ssize_t sent = out_.get() < 0 ? -1 : ::write(out_.get(), waiting_.data(), next_lines());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno != EAGAIN || out_.get() < 0)) {
      waiting_.clear();  // the terminal is gone
      break;
    }
    if (sent < 0) break;
    waiting_.erase(0, static_cast<std::size_t>(sent));
  }
  if (waiting_.empty()) {
    out_watch_.reset();
    return;
  }
  if (out_watch_) return;
  auto watch = env_.network.watch_fd(out_.get(), {.writable = true}, [this](FdEvents) { flush(); });
  if (watch) out_watch_ = std::move(*watch);
}

bool Terminal::read_keys(OnKey on_key) {
  if (::isatty(STDIN_FILENO) != 1) return false;
  in_ = Descriptor(open_again(STDIN_FILENO, O_RDONLY));
  if (in_.get() < 0) return false;
  on_key_ = std::move(on_key);
  auto watch = env_.network.watch_fd(in_.get(), {.readable = true}, [this](FdEvents) {
    // The program is woken too. What it waits for is its own.
    in_watch_->set({});
    line_timer_ = env_.after(kLinePatience, [this] { look_at_line(); });
  });
  if (!watch) return false;
  in_watch_ = std::move(*watch);
  return true;
}

bool Terminal::takes_lines() const {
  termios modes{};
  return ::tcgetattr(in_.get(), &modes) == 0 && (modes.c_lflag & ICANON) != 0;
}

void Terminal::wait_for_line() {
  in_watch_->set({.readable = true});
}

void Terminal::look_at_line() {
  switch (take_line()) {
    case Line::none:
      unread_looks_ = 0;
      return wait_for_line();
    case Line::blank:
      return look_at_line();  // at what was typed after it
    case Line::unread:
      if (++unread_looks_ == 2) on_key_(kUnread);
      [[fallthrough]];
    case Line::of_the_program:
      line_timer_ = env_.after(kLineAgain, [this] { look_at_line(); });
      return;
    case Line::key:
      wait_for_line();
      on_key_(key_);
      return;
  }
}

/// In the background, and where a program reads single keys, nothing is ours. A longer line is for
/// the program, which may read it later. A blank one is taken too: people press Enter to divide
/// what is shown, and no key after it would come first.
Terminal::Line Terminal::take_line() {
  int size = 0;
  if (::ioctl(in_.get(), FIONREAD, &size) != 0 || size == 0) return Line::none;
  if (!takes_lines() || !is_in_foreground(in_.get())) return Line::of_the_program;
  if (size > 2) return Line::unread;
  std::array<char, 2> line{};
  const ssize_t taken = ::read(in_.get(), line.data(), line.size());
  if (taken <= 0) return Line::none;
  if (line[0] == '\n') return Line::blank;
  key_ = line[0];
  return Line::key;
}

}  // namespace outrider::cli::beside
