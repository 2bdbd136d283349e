// SPDX-License-Identifier: Apache-2.0
// Keeps the history over restarts, if a file is configured for it.
//
//   StateFile ▸ start ▸ HistoryReader ▸ History                           at the start
//   History ▸ touch ▸ (kHistoryDelay) ▸ one line for each event ▸ StateFile
//
// The file has a head, the state at the first event, and a line for each event. It is replaced when
// it would become longer than kHistoryFileBytesMax, or when the history has dropped events that
// were not written yet. The agent never waits for it: a kill loses the events of kHistoryDelay.
// Lines are made kHistoryLinesPerTurn in a turn of the loop.
//
// A file that cannot be read is kept under another name, and the history begins with this run.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/registry/history_line.h"
#include "base/env.h"
#include "base/json.h"
#include "base/state_file.h"

namespace outrider {

inline constexpr std::size_t kHistoryFileBytesMax = 4U << 20;
/// Of more instances the file keeps no head, and therefore is not replaced: to copy them all takes
/// too long for one turn of the loop.
inline constexpr std::size_t kHistoryHeadInstancesMax = 2'048;
inline constexpr std::size_t kHistoryLinesPerTurn = 256;
inline constexpr Duration kHistoryDelay = std::chrono::seconds(1);
/// After a failure: the next try to open, or to write.
inline constexpr Duration kHistoryRetry = std::chrono::seconds(30);

class HistoryFile {
 public:
  /// `file` may be null: nothing is kept, and everything below does nothing. `history` and
  /// `registry` outlive it.
  HistoryFile(Env& env, registry::History& history, const registry::Registry& registry,
              std::unique_ptr<StateFile> file);

  /// After History::begin: puts what an earlier run has left before what comes now.
  void start(const registry::Surroundings& surroundings, registry::Moment now);
  /// The history may have new events.
  void touch();
  /// Writes what is left, and calls `done` when it is on disk or cannot be written. May call before
  /// it returns.
  void finish(Callback<void()> done);

  /// Members of an open object.
  void write_status(json::Writer& out) const;

 private:
  void take_over(StateFile::Opened opened, const registry::Surroundings& surroundings,
                 registry::Moment now);
  void open_later();
  /// What is wrong with the text, if anything.
  std::string read(const std::string& text, const registry::Surroundings& surroundings,
                   registry::Moment now);
  /// Keeps a file that will be replaced.
  void set_aside(StateFile::Original original, const std::string& reason);
  void compose();
  bool compose(std::size_t lines);
  bool begin_again();
  void write();
  void on_written(Result<void, std::string> result);
  void give_up(std::string failure);
  void report(std::string failure);

  Env& env_;
  registry::History& history_;
  const registry::Registry& registry_;
  std::unique_ptr<StateFile> file_;
  bool open_ = false;    // the file is ours and can be written
  bool replace_ = true;  // what the file ends with is not known, or it is too long
  bool writing_ = false;
  std::string failure_;  // empty: the last attempt succeeded
  std::size_t file_bytes_ = 0;
  std::optional<registry::HistoryHead> head_;  // being composed
  std::string text_;                           // the same
  registry::History::Place written_ = 0;       // events before are in the file, or in text_
  Callback<void()> finished_;
  Timer timer_;
};

}  // namespace outrider
