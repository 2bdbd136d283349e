// SPDX-License-Identifier: Apache-2.0
// One line per event: a level, an event name in snake_case, and key=value fields. Values may come
// from the network: every byte outside 0x20–0x7e is escaped on the way out, so that nothing from
// the LAN reaches a terminal raw.
//
//   env.log.warn("probe_failed", {{"check", id}, {"status", 503}});
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/time.h"

namespace outrider {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// A key with a value turned into text at once. The key must be a literal.
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

class Log {
 public:
  using Fields = std::initializer_list<LogField>;
  virtual ~Log() = default;

  void debug(std::string_view event, Fields fields = {}) {
    if (least_ <= LogLevel::debug) write(LogLevel::debug, event, fields);
  }
  void info(std::string_view event, Fields fields = {}) {
    if (least_ <= LogLevel::info) write(LogLevel::info, event, fields);
  }
  void warn(std::string_view event, Fields fields = {}) {
    if (least_ <= LogLevel::warning) write(LogLevel::warning, event, fields);
  }
  void error(std::string_view event, Fields fields = {}) { write(LogLevel::error, event, fields); }

  void set_least(LogLevel level) { least_ = level; }
  LogLevel least() const { return least_; }

 protected:
  /// Called only for events at or above the least level.
  virtual void write(LogLevel level, std::string_view event, Fields fields) = 0;

 private:
  LogLevel least_ = LogLevel::info;
};

/// Keeps silent.
class NullLog final : public Log {
  void write(LogLevel, std::string_view, Fields) override {}
};

/// `text` with every byte outside 0x20–0x7e, and the backslash, as \xNN. For logs and terminals.
std::string escape_untrusted(std::string_view text);

}  // namespace outrider
