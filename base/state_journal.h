// SPDX-License-Identifier: Apache-2.0
// Keeps lines in a StateFile: appends what is new, and replaces the whole now and then.
//
//   start ▸ StateFile ▸ Owner::read ▸ Owner::opened
//   touch ▸ (end of the turn) ▸ Owner::lines, Owner::whole ▸ StateFile ▸ when_kept
//
// While the file is open, a change is kept when it is on disk. After a failed write the file is
// replaced as a whole, after kStateRetry or with the next change. A file that could not be opened
// yet (a read-only directory, another process that has it) has promised nothing: when_kept() then
// waits for nothing, and the log says so.
//
// What the owner cannot read is kept under another name (state_unreadable in the log).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/json.h"
#include "base/state_file.h"

namespace outrider {

/// After a failure: the next try to write, or to open.
inline constexpr Duration kStateRetry = std::chrono::seconds(5);
/// A file is replaced when it is longer than this and twice what counts in it.
inline constexpr std::size_t kJournalBytesMin = 64U << 10;
constexpr std::size_t journal_bytes_max(std::size_t counting) {
  return kJournalBytesMin + 2 * counting;
}

class StateJournal {
 public:
  /// What becomes of a file that can be opened only later than at the start.
  enum class Late : std::uint8_t {
    read,      // as at the start. Tried again if another process had the file, or after touch()
    replaced,  // by what the owner has by then. Tried again, after touch() if it was read already
  };
  struct Lines {
    std::string text;            // each with its end
    std::size_t file_bytes_max;  // a file that they would make longer is replaced instead
  };
  struct Owner {
    std::string header;  // the first line of the file, with its end
    /// Reads all that the file has, the header and perhaps an interrupted write included; returns
    /// what is wrong with it, if anything.
    std::function<std::string(std::string_view text)> read;
    /// After read(), when the journal knows whether it can write. May be null.
    std::function<void(const std::string& wrong)> opened;
    /// The lines since the last call.
    std::function<Lines()> lines;
    /// All lines after the header, those of lines() included. No file is made for nothing.
    std::function<std::string()> whole;
  };
  /// `file` may be null: nothing is kept, and everything below does nothing.
  StateJournal(Env& env, std::unique_ptr<StateFile> file, Late late, Owner owner);

  /// Opens the file, and reads it before it returns if that succeeds.
  void start();
  /// The owner has new lines.
  void touch();
  /// The whole is written at the end of the turn. Of an open file.
  void replace();

  using KeptCallback = Callback<void(const std::string& why_not)>;
  /// Called with an empty text when all lines so far are on disk, or there is no file to write;
  /// else with the reason why they are not. May call before it returns.
  void when_kept(KeptCallback callback);
  bool is_kept() const { return !open_ || (!writing_ && !touched_ && failure_.empty()); }

  /// The file is ours and can be written.
  bool is_open() const { return open_; }
  /// Another process had the file at the last attempt.
  bool is_held() const { return held_; }
  /// Empty: the last attempt to open or write succeeded.
  const std::string& failure() const { return failure_; }
  /// Null: nothing is kept.
  const StateFile* file() const { return file_.get(); }
  /// Members of an open object.
  void write_status(json::Writer& out) const;

 private:
  void open();
  void open_late();
  void try_again();
  void take_over(const StateFile::Opened& opened);
  bool set_aside(StateFile::Original original, const std::string& reason);
  void arm();
  void write();
  void on_written(Result<void, std::string> result);
  void report(const std::string& failure);

  Env& env_;
  std::unique_ptr<StateFile> file_;
  const Late late_;
  Owner owner_;
  bool started_ = false;
  bool open_ = false;
  bool held_ = false;
  bool replace_ = true;  // what the file ends with is not known, or it is incomplete
  bool writing_ = false;
  bool touched_ = false;  // the owner has lines that no write has yet
  std::size_t file_bytes_ = 0;
  std::string failure_;
  std::string unread_;  // why the file is to be set aside before it is replaced
  std::vector<KeptCallback> waiting_, waiting_for_next_;
  Timer write_, retry_;
};

}  // namespace outrider
