// SPDX-License-Identifier: Apache-2.0
// What outlives the agent: registrations made over the API, with what is left of their heartbeats,
// and maintenance, of configured services too.
//
//   Agent::spread ▸ touch ▸ (end of the turn) one line for each changed id ▸ StateFile ▸ when_kept
//   StateFile ▸ start ▸ Saved ▸ Agent registers it again
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
#include <vector>

#include "agent/registry/registry.h"
#include "base/env.h"
#include "base/json.h"
#include "base/state_file.h"

namespace outrider {

/// Lines of the file that are read: one for each registration, and one for the host.
inline constexpr std::size_t kSavedMax = registry::kRegistrationsMax + 1;
inline constexpr std::size_t kSavedLineBytesMax = json::kConfigBytesMax;
inline constexpr int kStateVersion = 1;
/// A file is replaced when it is longer than this and twice what counts in it.
inline constexpr std::size_t kJournalBytesMin = 64U << 10;
inline constexpr Duration kRenewalDelay = std::chrono::seconds(5);
/// After a failure: the next try to write, or to open.
inline constexpr Duration kStateRetry = std::chrono::seconds(5);

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

  /// Called with an empty text when all changes so far are on disk, or there is no file to write;
  /// else with the reason why they are not. May call before it returns.
  using KeptCallback = Callback<void(const std::string& why_not)>;
  void when_kept(KeptCallback callback);
  /// Renewals are written without delay. For the end.
  void flush_renewals();

  /// Members of an open object.
  void write_status(json::Writer& out) const;

 private:
  void open();
  void take_over(StateFile::Opened opened);
  /// Takes the file's text into lines_ and `found`; returns what is wrong with it, if anything.
  std::string read(const std::string& text, std::map<std::string, Saved>& found);
  std::optional<Saved> parse(std::string_view line) const;
  /// All that is to be kept of this id; empty: nothing.
  std::string line_of(const std::string& id) const;
  void arm();
  void flush();
  std::string collect();
  void write(std::string changed_lines);
  void on_written(Result<void, std::string> result);
  void report(const std::string& failure);

  Env& env_;
  const registry::Registry& registry_;
  std::unique_ptr<StateFile> file_;
  Restore restore_;
  std::set<std::string, std::less<>> configured_;

  bool open_ = false;    // the file is ours and can be written
  std::string failure_;  // empty: the last attempt succeeded
  bool held_ = false;    // by another agent
  bool replace_ = true;  // what the file ends with is not known
  bool writing_ = false;
  std::size_t file_bytes_ = 0, live_bytes_ = 0;
  std::map<std::string, std::string, std::less<>> lines_;  // by id, as the file is to have them
  std::set<std::string, std::less<>> changed_, renewed_;
  std::vector<KeptCallback> waiting_, waiting_for_next_;
  Timer flush_timer_, renewal_timer_, retry_;
};

}  // namespace outrider
