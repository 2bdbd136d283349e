// SPDX-License-Identifier: Apache-2.0
// A history as lines of JSON, for a file that outlives the agent. Pure.
//
//   {"outrider":"history","version":1,…}     the first line: since when, and the surroundings then
//   {"was":{…}}                              an instance that was there then
//   {"known":"web","note":…}                 a name that was remembered then
//   {"at":…,"service":"web",…}               an event; events are in their order
//
// The writer is the history of the agent that runs. The reader plays the lines into the history of
// the next one, and ends them with what a restart means: everything is gone.
//
// Of an instance the lines have what explains answers. How its checks are probed and what FARP says
// is left out.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/history.h"
#include "base/json.h"

namespace outrider::registry {

inline constexpr int kHistoryVersion = 1;
inline constexpr std::size_t kHistoryLineBytesMax = 256U << 10;
/// Instances and names that are read; a registry has no more.
inline constexpr std::size_t kHistoryInstancesMax = kRegistrationsMax + kSightingsMax;

/// The lines that come before the first event: the state before it.
class HistoryHead {
 public:
  /// `now` is the present registry.
  HistoryHead(const History& history, History::Place first, const Registry& now);
  /// Adds the next lines to `text`, at most this many; returns how many. Fewer: these were the
  /// last.
  std::size_t write(std::string& text, std::size_t most);

 private:
  struct Line {
    std::string label;
    InstancePtr instance;  // null: the name itself
  };
  std::string line(std::size_t number) const;

  WallTime since_;
  History::Past past_;
  std::vector<Line> lines_;
  std::size_t written_ = 0;
};

/// The event at `place`, as a line.
std::string history_line(const History& history, History::Place place, const Registry& now);

class HistoryReader {
 public:
  /// `now` is the begin of this run.
  HistoryReader(History& history, Moment now) : history_(history), now_(now) {}

  /// False if it is not a line of a history in this format, or one too many.
  bool read(std::string_view line);
  /// Why the first line was refused; empty if it was not, or is no such line at all.
  const std::string& refusal() const { return refusal_; }
  /// The run that wrote the lines has ended.
  void end(const Surroundings& surroundings);

 private:
  bool read_head(const json::Value& line);
  bool read_event(const json::Value& line);
  InstancePtr instance(const json::Value& value) const;
  Moment moment(const json::Value& value, std::string_view key) const;

  History& history_;
  Moment now_;
  bool begun_ = false;
  std::string refusal_;
  std::map<std::string, InstancePtr> there_;  // by service and id
  std::map<std::string, std::string> notes_;  // of known services, by label
};

}  // namespace outrider::registry
