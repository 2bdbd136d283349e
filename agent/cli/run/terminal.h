// SPDX-License-Identifier: Apache-2.0
// The terminal that `outrider run` shares with its program. The terminal stays the program's: its
// modes are not touched, and what is typed goes to the program first.
//
//   StderrCopy   the program's standard error: a terminal of its own, copied to ours, so that its
//                last lines are known when it dies
//   Terminal     writes without ever waiting; reads a line of one letter that no program wants
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "agent/cli/run/tail.h"
#include "base/env.h"

namespace outrider::cli::beside {

/// Octets that may wait for a terminal that takes none (Ctrl-S); further ones wait in the program.
inline constexpr std::size_t kTerminalBytesMax = 64U << 10;
/// How long a line waits for the program to read it, before it may be ours.
inline constexpr Duration kLinePatience = std::chrono::milliseconds(150);
/// The interval at which a line is looked at again that is the program's and that it does not read.
inline constexpr Duration kLineAgain = std::chrono::seconds(1);

/// To standard error, if it takes it at once: nothing waits for the reader of a pipe.
void write_line(std::string_view line);
/// Whether standard error is a terminal that a person looks at: not in CI.
bool has_screen();

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void close();

 private:
  int fd_;
};

class Terminal {
 public:
  using OnKey = std::function<void(char)>;

  /// Of standard error. `env` outlives it.
  explicit Terminal(Env& env);
  /// What is still waiting is written, however long that takes.
  ~Terminal();

  void write(std::string_view text);
  std::size_t waiting() const { return waiting_.size(); }
  /// Called when nothing waits any more.
  void on_drained(std::function<void()> callback) { on_drained_ = std::move(callback); }
  /// From here on, lines of one letter are read. False: standard input is not the terminal.
  bool read_keys(OnKey on_key);

 private:
  void flush();
  void look_at_line();
  enum class Line : std::uint8_t { none, key, of_the_program };
  Line take_line();
  void wait_for_line();

  Env& env_;
  Descriptor out_, in_;
  std::string waiting_;
  std::function<void()> on_drained_;
  OnKey on_key_;
  char key_ = 0;
  std::unique_ptr<FdWatch> out_watch_, in_watch_;
  Timer line_timer_;
};

class StderrCopy {
 public:
  /// Both outlive it.
  StderrCopy(Env& env, Terminal& terminal);
  ~StderrCopy();

  /// For the program; -1: there is none, and standard error is inherited.
  int program_end() const { return slave_.get(); }
  /// The program has it.
  void close_program_end() { slave_.close(); }
  void follow_size();
  /// What is left in it, after the program has ended.
  void drain();
  const Tail& tail() const { return tail_; }

 private:
  bool copy();

  Terminal& terminal_;
  Descriptor master_, slave_;
  Tail tail_;
  std::unique_ptr<FdWatch> watch_;
};

}  // namespace outrider::cli::beside
