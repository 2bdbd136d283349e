// SPDX-License-Identifier: Apache-2.0
// What outlives the agent: registrations made over the API, with what is left of their heartbeats,
// and maintenance, of configured services too.
//
//   Agent::spread ▸ touch ▸ (end of the turn) a line for each changed id ▸ StateJournal ▸ when_kept
//   StateJournal ▸ start ▸ Saved ▸ Agent registers it again
//
// The file is a journal of JSON lines. The first says what it is; each other one is all that is
// kept of one id and replaces the earlier lines of that id, or says that nothing is. It is replaced
// by the lines that count when most of it is outdated. Renewals of heartbeats, which no client
// waits for, are written with the next change or after kRenewalDelay.
//
// An agent that has its file answers a change when it is on disk. If it cannot be written, as on a
// full disk, the answer is an error, although the change is in effect: what was answered with
// success outlives the agent. An agent that could not get its file yet (a read-only directory,
// another agent that has it) has promised nothing: it says so in the log, in the status and in
// `outrider doctor`, and works without. Clients that register themselves would else not start.
//
// What cannot be read (damaged lines, a file of a newer version) is kept under another name, and
// what can be read of it is used. A last line without an end is a write that was interrupted and
// that no client was told about.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/registry/registry.h"
#include "base/env.h"
#include "base/json.h"
#include "base/state_journal.h"

namespace outrider {

/// Lines of the file that are read: one for each registration, and one for the host.
inline constexpr std::size_t kSavedMax = registry::kRegistrationsMax + 1;
inline constexpr std::size_t kSavedLineBytesMax = json::kConfigBytesMax;
inline constexpr int kStateVersion = 1;
inline constexpr Duration kRenewalDelay = std::chrono::seconds(5);

class Persistence {
 public:
  /// What was saved of one id.
  struct Saved {
    std::string id;
    std::optional<registry::ServiceSpec> spec;  // nothing: the configuration makes it
    registry::Kept kept;
  };
  using Restore = std::function<void(std::vector<Saved>)>;

  /// `file` may be null: nothing is kept, and everything below does nothing. `registry` outlives
  /// it.
  Persistence(Env& env, const registry::Registry& registry, std::unique_ptr<StateFile> file);

  /// Calls `restore` with what an earlier run has saved, before it returns or when the file can be
  /// opened.
  void start(Restore restore);
  /// Registrations that the configuration makes: of them only maintenance and heartbeats are kept.
  void set_configured(const std::vector<std::string>& ids);

  /// Something of the registration has changed, or it is gone.
  void touch(std::string_view id);
  /// A heartbeat was renewed.
  void touch_later(std::string_view id);

  /// As StateJournal's, for all changes so far.
  void when_kept(StateJournal::KeptCallback callback) { journal_.when_kept(std::move(callback)); }
  /// Renewals are written without delay. For the end.
  void flush_renewals();

  /// Members of an open object.
  void write_status(json::Writer& out) const;

 private:
  /// Takes the file's text into lines_ and found_; returns what is wrong with it, if anything.
  std::string read(std::string_view text);
  void on_opened(const std::string& wrong);
  std::optional<Saved> parse(std::string_view line) const;
  /// All that is to be kept of this id; empty: nothing.
  std::string line_of(const std::string& id) const;
  StateJournal::Lines lines();
  std::string collect();
  std::string whole() const;

  Env& env_;
  const registry::Registry& registry_;
  Restore restore_;
  std::set<std::string, std::less<>> configured_;
  std::map<std::string, Saved> found_;                     // while the file is read
  std::size_t live_bytes_ = 0;                             // of lines_
  std::map<std::string, std::string, std::less<>> lines_;  // by id, as the file is to have them
  std::set<std::string, std::less<>> changed_, renewed_;
  Timer renewal_timer_;
  StateJournal journal_;
};

}  // namespace outrider
