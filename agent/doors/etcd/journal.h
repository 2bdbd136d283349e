// SPDX-License-Identifier: Apache-2.0
// The file that outlives the agent: a line of JSON for each change, and now and then the whole
// instead. It knows no more of the lines than the first one, which says what the file is.
//
//   append ▸ (end of the turn) ▸ StateFile ▸ when_kept
//
// As agent/persistence does it: a change is answered when it is on disk; if the file cannot be
// written, the answer is an error, although the change is in effect. A file that was never there
// for us (a read-only directory, another agent that has it) has promised nothing: the door works
// without it, and says so in the log. What cannot be read is kept under another name.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"
#include "base/state_file.h"

namespace outrider::doors::etcd {

inline constexpr int kJournalVersion = 1;
/// A longer line is not read. A whole transaction fits: its values of 64 kB each, twice, in base64.
inline constexpr std::size_t kJournalLineBytesMax = 32U << 20;
/// The file is replaced when it is longer than this and twice what the whole was.
inline constexpr std::size_t kJournalBytesMin = 256U << 10;
/// After a failure: the next try to write, or to open.
inline constexpr Duration kJournalRetry = std::chrono::seconds(5);

class Journal {
 public:
  struct Owner {
    /// A line of the file; false: it cannot be read.
    std::function<bool(std::string_view line)> read;
    /// All lines that the file is to have, each with its end.
    std::function<std::string()> whole;
  };
  /// `file` may be null: nothing is kept.
  Journal(Env& env, std::unique_ptr<StateFile> file, Owner owner);

  /// Reads what was kept, line by line, before it returns.
  void start();
  /// One line without its end.
  void append(std::string_view line);

  using KeptCallback = Callback<void(const std::string& why_not)>;
  /// Called with an empty text when all lines so far are on disk, or there is no file to write;
  /// else with the reason why they are not. May call before it returns.
  void when_kept(KeptCallback callback);
  bool is_kept() const { return !open_ || (!writing_ && pending_.empty() && failure_.empty()); }

 private:
  void open();
  std::string read(std::string_view text);
  void arm();
  void write();
  void on_written(Result<void, std::string> result);
  void report(const std::string& failure);

  Env& env_;
  std::unique_ptr<StateFile> file_;
  Owner owner_;
  bool open_ = false;
  bool replace_ = true;  // the file has to be written as a whole
  bool writing_ = false;
  std::string pending_;  // lines
  std::size_t file_bytes_ = 0, whole_bytes_ = 0;
  std::string failure_;
  std::vector<KeptCallback> waiting_, waiting_for_next_;
  Timer write_, retry_;
};

}  // namespace outrider::doors::etcd
