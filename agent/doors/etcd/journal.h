// SPDX-License-Identifier: Apache-2.0
// The file that outlives the agent: a line of JSON for each change, and now and then the whole
// instead. It knows no more of the lines than the first one, which says what the file is.
//
//   append ▸ StateJournal ▸ (on disk) ▸ when_kept
//
// base/state_journal.h says when it is written, and what happens if it cannot be.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/env.h"
#include "base/state_journal.h"

namespace outrider::doors::etcd {

inline constexpr int kJournalVersion = 1;
/// A longer line is not read. A whole transaction fits: its values of 64 kB each, twice, in base64.
inline constexpr std::size_t kJournalLineBytesMax = 32U << 20;

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
  void start() { journal_.start(); }
  /// One line without its end.
  void append(std::string_view line);

  /// As StateJournal's.
  void when_kept(StateJournal::KeptCallback callback) { journal_.when_kept(std::move(callback)); }
  bool is_kept() const { return journal_.is_kept(); }
  /// Why the last write failed; empty: it did not, or there is no file to write.
  std::string_view write_failure() const {
    return journal_.is_open() ? std::string_view(journal_.failure()) : std::string_view();
  }
  void write_status(json::Writer& out) const { journal_.write_status(out); }

 private:
  std::string read(std::string_view text);
  StateJournal::Lines lines();
  std::string whole();

  Owner owner_;
  std::string pending_;  // lines
  std::size_t whole_bytes_ = 0;
  StateJournal journal_;
};

}  // namespace outrider::doors::etcd
