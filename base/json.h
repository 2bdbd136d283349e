// SPDX-License-Identifier: Apache-2.0
// JSON in (simdjson DOM, json.cc is its only includer) and out (a small writer). Documents that we
// take or make mean the same to any parser, cJSON included: UTF-8 without BOM, nothing after the
// root, nesting ≤ 32, no duplicate keys (nor keys that differ only by case), no NUL in strings,
// integers within ±2^53.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace outrider::json {

inline constexpr std::size_t kNestingMax = 32;
inline constexpr std::size_t kConfigBytesMax = 256U << 10;
inline constexpr std::size_t kBodyBytesMax = 64U << 10;

class Value;
using Array = std::vector<Value>;
/// In document order. Keys are unique.
using Object = std::vector<std::pair<std::string, Value>>;

class Value {
 public:
  using Data = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object>;

  Value() = default;
  explicit Value(Data data) : data_(std::move(data)) {}
  // Written out: in libstdc++ 12, the copy of a variant that finds no memory destroys what it has
  // not made.
  Value(const Value& other);
  Value(Value&&) noexcept = default;
  Value& operator=(const Value& other) { return *this = Value(other); }
  Value& operator=(Value&&) noexcept = default;
  ~Value() = default;

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(data_); }
  /// Null when it is of another type.
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const std::int64_t* as_int() const { return std::get_if<std::int64_t>(&data_); }
  const double* as_double() const { return std::get_if<double>(&data_); }
  const std::string* as_string() const { return std::get_if<std::string>(&data_); }
  const Array* as_array() const { return std::get_if<Array>(&data_); }
  const Object* as_object() const { return std::get_if<Object>(&data_); }
  /// Member of an object; null if absent or not an object.
  const Value* find(std::string_view key) const;
  /// "null", "a boolean", "an integer", "a number", "a string", "an array", "an object".
  const char* type_name() const;

  const Data& data() const { return data_; }
  Data& data() { return data_; }

 private:
  Data data_ = nullptr;
};

struct ParseError {
  std::string message;   // "expected ',' or '}'", "duplicate key \"port\""
  std::string path;      // "services[2].checks[0]"; empty when the text itself is malformed
  std::size_t line = 0;  // from 1; 0 if not known
  std::size_t column = 0;
};

/// Refuses documents beyond `bytes_max` and everything that the head of this file excludes.
Result<Value, ParseError> parse(std::string_view text, std::size_t bytes_max);

/// For documents that are only passed on, such as a service's OpenAPI schema: any valid JSON up
/// to kForeignNestingMax. Integers beyond ±2^53 become doubles, of equal keys the last counts, keys
/// that differ by case are different.
inline constexpr std::size_t kForeignNestingMax = 256;
Result<Value, ParseError> parse_foreign(std::string_view text, std::size_t bytes_max);

/// The name in `known` that is nearest to `wanted` by edit distance, if near enough to be meant.
std::string_view nearest(std::string_view wanted, const std::vector<std::string_view>& known);

/// Appends JSON to a string. Commas and colons are added; wrong nesting is a mistake of the caller.
/// Invalid UTF-8 becomes U+FFFD, NUL is dropped, non-finite numbers become null.
class Writer {
 public:
  enum class Style : std::uint8_t { compact, indented };
  explicit Writer(std::string& out, Style style = Style::compact) : out_(out), style_(style) {}

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& value(std::string_view text);
  Writer& value(const char* text) { return value(std::string_view(text)); }
  Writer& value(bool flag);
  Writer& value(std::int64_t number);
  Writer& value(std::uint64_t number);
  Writer& value(int number) { return value(static_cast<std::int64_t>(number)); }
  Writer& value(unsigned number) { return value(static_cast<std::uint64_t>(number)); }
  Writer& value(double number);
  Writer& value(const Value& tree);
  /// One value that a Writer of the same style has written.
  Writer& written(std::string_view json);
  Writer& null();
  template <class T>
  Writer& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }

 private:
  void before_value();
  void newline();
  void quoted(std::string_view text);

  std::string& out_;
  Style style_;
  std::uint64_t in_object_ = 0;  // one bit per level
  unsigned depth_ = 0;
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace outrider::json
