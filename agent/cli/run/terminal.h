// SPDX-License-Identifier: Apache-2.0
// The terminal that `outrider run` shares with its program. The terminal stays the program's: its
// modes are not touched while it runs, and what is typed goes to the program first.
//
//   Terminal     writes without ever waiting; holds our lines back while the program draws the
//                whole screen; reads a line of one letter that no program wants
//   SavedModes   puts the modes back that a killed program has left behind
//
// The program inherits all three standard streams. With a terminal of ours for its standard error
// we would know its last lines, but what takes its keys from there (less, more) would get none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <termios.h>

#include "agent/cli/run/held_lines.h"
#include "base/env.h"

namespace outrider::cli::beside {

/// Octets of one write: the kernel makes several of a longer one, between which others come.
inline constexpr std::size_t kTerminalWriteMax = 2'048;
/// How long a line waits for the program to read it, before it may be ours.
inline constexpr Duration kLinePatience = std::chrono::milliseconds(150);
/// The interval at which a line is looked at again that is the program's and that it does not read.
inline constexpr Duration kLineAgain = std::chrono::seconds(1);

/// The interval at which it is looked whether the program still draws the whole screen.
inline constexpr Duration kHeldAgain = std::chrono::seconds(1);
/// How long the last line waits for the reader of a full pipe.
inline constexpr Duration kLastLinePatience = std::chrono::seconds(2);

/// To standard error, if it takes it at once: nothing waits for the reader of a pipe.
void write_line(std::string_view line);
/// The same at the end, when nothing is left that may not wait.
void write_last_line(std::string_view line);
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

/// A shell puts the modes of a terminal back when a program was killed, and not when it ends with
/// a status, as we do for it.
class SavedModes {
 public:
  /// Those of standard input, or of standard error, if that is a terminal.
  SavedModes();
  /// In the background, the terminal is another program's.
  void restore() const;

 private:
  int fd_ = -1;
  std::optional<termios> modes_;
};

class Terminal {
 public:
  using OnKey = std::function<void(char)>;
  /// In place of a letter: lines wait that are the program's, and no key comes before it reads
  /// them.
  static constexpr char kUnread = '\0';

  /// Of standard error. `env` outlives it.
  explicit Terminal(Env& env);
  /// What is still waiting is written, however long that takes.
  ~Terminal();

  /// Whole lines.
  void say(std::string_view lines);
  /// The program has ended: it draws no more.
  void release();
  /// From here on, lines of one letter are read. False: standard input is not the terminal.
  bool read_keys(OnKey on_key);

 private:
  void flush();
  std::size_t next_lines() const;
  void show_held();
  void look_at_line();
  enum class Line : std::uint8_t { none, blank, key, unread, of_the_program };
  Line take_line();
  /// Rather than single keys, which are a program's.
  bool takes_lines() const;
  void wait_for_line();

  Env& env_;
  Descriptor out_, in_;
  std::string waiting_;
  HeldLines held_;
  bool released_ = false;
  Timer held_timer_;
  OnKey on_key_;
  char key_ = 0;
  int unread_looks_ = 0;
  std::unique_ptr<FdWatch> out_watch_, in_watch_;
  Timer line_timer_;
};

}  // namespace outrider::cli::beside
