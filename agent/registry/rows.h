// SPDX-License-Identifier: Apache-2.0
// Options declared once, as rows: the parser, `config schema`, `config dump`, the environment
// variables and the man page all come from them. To add an option: one row, and its reading where
// the typed value is made.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/model.h"

namespace outrider::registry {

enum class RowType : std::uint8_t {
  boolean,
  integer,       // min..max
  text,          // min..max octets, no control characters
  choice,        // one of Row::choices
  duration,      // "10s"; min..max milliseconds
  text_list,     // of at most max; one text alone is a list of one
  integer_list,  // of at most max
  text_map,      // of at most max
  object,        // Row::rows
  object_list,   // of at most max objects of Row::rows
};

struct Row {
  std::string_view key;
  RowType type = RowType::text;
  std::string_view fallback;  // JSON text; "null": may be missing or null; empty: required
  std::int64_t min = 0;
  std::int64_t max = std::numeric_limits<std::int32_t>::max();
  bool reloadable = true;
  std::string_view line;                           // what it is for, one line
  std::span<const Row> rows = {};                  // object, object_list
  std::span<const std::string_view> choices = {};  // choice
};

/// Checks `value` and returns it with every missing member filled in. Unknown keys, wrong types and
/// ranges are errors; `path` is put before their paths.
Result<json::Value, SpecError> complete(const json::Value& value, std::span<const Row> rows,
                                        std::string_view path);

/// "a.b" or "a[1]": one member of a path.
std::string join_path(std::string_view path, std::string_view key);
std::string join_path(std::string_view path, std::size_t index);

/// The error of one member.
tl::unexpected<SpecError> wrong_value(std::string_view path, std::string_view key,
                                      std::string expected);

/// These read a completed tree; a missing member or another type is a programming error.
std::string text_of(const json::Value& completed, std::string_view key);  // null: empty
std::int64_t integer_of(const json::Value& completed, std::string_view key);
bool flag_of(const json::Value& completed, std::string_view key);
Duration duration_of(const json::Value& completed, std::string_view key);
std::vector<std::string> texts_of(const json::Value& completed, std::string_view key);
bool absent(const json::Value& completed, std::string_view key);  // null

/// OpenAPI 3.0 has a JSON Schema of its own: one type a value, and null as a flag.
enum class SchemaDialect : std::uint8_t { json_schema, openapi };
/// JSON Schema (draft 2020-12), or OpenAPI's, of an object with these rows.
void write_schema(json::Writer& out, std::span<const Row> rows,
                  SchemaDialect dialect = SchemaDialect::json_schema);

std::span<const Row> service_rows();
std::span<const Row> check_rows();

}  // namespace outrider::registry
