// SPDX-License-Identifier: Apache-2.0
// One line for each event: a level, the event's name, and key=value fields. Events are declared in
// log_events.h. Values may come from the network: every byte outside 0x20–0x7e is escaped when it
// is written, so that nothing from the LAN reaches a terminal raw.
//
//   env.log.record(LogEvent::upstream_failed, {{"peer", server}, {"reason", reason}});
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/log_events.h"
#include "base/time.h"

namespace outrider {

/// A key and its value as text. The key is a literal.
struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  LogField(std::string_view k, Duration v) : key(k), value(format_duration(v)) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

using LogFields = std::initializer_list<LogField>;

/// "debug", "info", "warning", "error".
const char* to_string(LogLevel level);

/// Whether the table of events has each of these keys for `event`.
bool has_only_declared_keys(LogEvent event, LogFields fields);

class Log {
 public:
  using Fields = LogFields;
  virtual ~Log() = default;

  void record(LogEvent event, Fields fields = {}) {
    OUTRIDER_DEBUG_ASSERT(has_only_declared_keys(event, fields));
    if (spec_of(event).level >= least_) write(event, fields);
  }

  void set_least(LogLevel level) { least_ = level; }
  LogLevel least() const { return least_; }

 protected:
  /// Called only for events at or above the least level.
  virtual void write(LogEvent event, Fields fields) = 0;

 private:
  LogLevel least_ = LogLevel::info;
};

/// Discards everything.
class NullLog final : public Log {
  void write(LogEvent, Fields) override {}
};

/// `text` with every byte outside 0x20–0x7e, and the backslash, as \xNN. For logs and terminals.
std::string escape_untrusted(std::string_view text);

}  // namespace outrider
