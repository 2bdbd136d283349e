// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/rows.h"

#include <algorithm>

namespace outrider::registry {
namespace {

using json::Value;

tl::unexpected<SpecError> bad(std::string_view path, std::string expected,
                              std::string_view nearest = {}) {
  return failure(SpecError{std::string(path), std::move(expected), std::string(nearest)});
}

std::string got(const Value& value) {
  constexpr std::size_t kShownMax = 64;
  const std::string* text = value.as_string();
  if (text != nullptr && text->size() <= kShownMax) return ", not \"" + *text + '"';
  return std::string(", not ") + value.type_name();
}

std::string range(const Row& row) {
  return std::to_string(row.min) + " to " + std::to_string(row.max);
}

Result<Value, SpecError> check_integer(const Value& value, const Row& row, std::string_view path) {
  const std::int64_t* number = value.as_int();
  if (number == nullptr) return bad(path, "expected an integer" + got(value));
  if (*number < row.min || *number > row.max)
    return bad(path, "expected " + range(row) + ", not " + std::to_string(*number));
  return value;
}

Result<Value, SpecError> check_text(const Value& value, const Row& row, std::string_view path) {
  const std::string* text = value.as_string();
  if (text == nullptr) return bad(path, "expected a string" + got(value));
  const auto size = static_cast<std::int64_t>(text->size());
  if (size < row.min || size > row.max) return bad(path, "expected " + range(row) + " octets");
  if (std::any_of(text->begin(), text->end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return bad(path, "control characters are not allowed");
  return value;
}

Result<Value, SpecError> check_choice(const Value& value, const Row& row, std::string_view path) {
  const std::string* text = value.as_string();
  std::string all;
  for (const std::string_view choice : row.choices) {
    if (text != nullptr && *text == choice) return value;
    all += all.empty() ? "" : ", ";
    all += '"' + std::string(choice) + '"';
  }
  const std::vector<std::string_view> known(row.choices.begin(), row.choices.end());
  return bad(path, "expected one of " + all + (text ? ", not \"" + *text + '"' : got(value)),
             text ? json::nearest(*text, known) : std::string_view{});
}

Result<Value, SpecError> check_duration(const Value& value, const Row& row, std::string_view path) {
  const std::string* text = value.as_string();
  const auto duration = text ? parse_duration(*text) : std::nullopt;
  if (!duration)
    return bad(path, "expected a duration such as \"10s\" or \"250ms\"" +
                         (text ? ", not \"" + *text + '"' : got(value)));
  const Duration low = std::chrono::milliseconds(row.min);
  const Duration high = std::chrono::milliseconds(row.max);
  if (*duration < low || *duration > high)
    return bad(path, "expected " + format_duration(low) + " to " + format_duration(high) +
                         ", not " + *text);
  return value;
}

/// Elements of a list have the range of any text; the row's max counts them.
Result<Value, SpecError> check_list(const Value& value, const Row& row, std::string_view path) {
  const bool texts = row.type == RowType::text_list;
  if (texts && value.as_string()) {
    if (auto one = check_text(value, Row{.max = 4'096}, path); !one) return one;
    return Value(Value::Data(json::Array{value}));
  }
  const json::Array* list = value.as_array();
  if (list == nullptr)
    return bad(path, (texts ? "expected strings" : "expected integers") + got(value));
  if (static_cast<std::int64_t>(list->size()) > row.max)
    return bad(path, "expected at most " + std::to_string(row.max));
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto element = texts ? check_text((*list)[i], Row{.max = 4'096}, join_path(path, i))
                         : check_integer((*list)[i], Row{.min = row.min, .max = 1'000'000},
                                         join_path(path, i));
    if (!element) return element;
  }
  return value;
}

Result<Value, SpecError> check_map(const Value& value, const Row& row, std::string_view path) {
  const json::Object* object = value.as_object();
  if (object == nullptr) return bad(path, "expected an object of strings" + got(value));
  if (static_cast<std::int64_t>(object->size()) > row.max)
    return bad(path, "expected at most " + std::to_string(row.max));
  for (const auto& [key, content] : *object)
    if (auto text = check_text(content, Row{.max = 4'096}, join_path(path, key)); !text)
      return text;
  return value;
}

Result<Value, SpecError> check(const Value& value, const Row& row, std::string_view path) {
  // Earlier versions wrote null for lists that are empty by default.
  if (value.is_null() && (row.fallback == "null" || row.fallback == "[]")) return value;
  switch (row.type) {
    case RowType::boolean:
      if (!value.as_bool()) return bad(path, "expected true or false" + got(value));
      return value;
    case RowType::integer:
      return check_integer(value, row, path);
    case RowType::text:
      return check_text(value, row, path);
    case RowType::choice:
      return check_choice(value, row, path);
    case RowType::duration:
      return check_duration(value, row, path);
    case RowType::text_list:
    case RowType::integer_list:
      return check_list(value, row, path);
    case RowType::text_map:
      return check_map(value, row, path);
    case RowType::object:
      return complete(value, row.rows, path);
    case RowType::object_list:
      break;
  }
  const json::Array* list = value.as_array();
  if (list == nullptr) return bad(path, "expected an array of objects" + got(value));
  if (static_cast<std::int64_t>(list->size()) > row.max)
    return bad(path, "expected at most " + std::to_string(row.max));
  json::Array completed;
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto element = complete((*list)[i], row.rows, join_path(path, i));
    if (!element) return element;
    completed.push_back(std::move(*element));
  }
  return Value(Value::Data(std::move(completed)));
}

Value fallback_of(const Row& row) {
  const auto value = json::parse(row.fallback, json::kConfigBytesMax);
  OUTRIDER_ASSERT(value.has_value());
  return *value;
}

const Value& member(const Value& completed, std::string_view key) {
  const Value* found = completed.find(key);
  OUTRIDER_ASSERT(found != nullptr);
  return *found;
}

}  // namespace

std::string SpecError::to_string() const {
  std::string out = path.empty() ? expected : path + ": " + expected;
  if (!nearest.empty()) out += "; did you mean \"" + nearest + "\"?";
  return out;
}

std::string join_path(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : std::string(path) + '.' + std::string(key);
}
std::string join_path(std::string_view path, std::size_t index) {
  return std::string(path) + '[' + std::to_string(index) + ']';
}

Result<Value, SpecError> complete(const Value& value, std::span<const Row> rows,
                                  std::string_view path) {
  const json::Object* object = value.as_object();
  if (object == nullptr) return bad(path, "expected an object" + got(value));
  for (const auto& [key, content] : *object) {
    const auto same = [&key = key](const Row& row) { return row.key == key; };
    if (std::any_of(rows.begin(), rows.end(), same)) continue;
    std::vector<std::string_view> known;
    for (const Row& row : rows)
      known.push_back(row.key);
    return bad(join_path(path, key), "unknown key", json::nearest(key, known));
  }
  json::Object completed;
  for (const Row& row : rows) {
    const std::string at = join_path(path, row.key);
    const Value* given = value.find(row.key);
    if (given == nullptr && row.fallback.empty()) return bad(at, "required");
    auto checked = check(given ? *given : fallback_of(row), row, at);
    if (!checked) return checked;
    completed.emplace_back(std::string(row.key), std::move(*checked));
  }
  return Value(Value::Data(std::move(completed)));
}

tl::unexpected<SpecError> wrong_value(std::string_view path, std::string_view key,
                                      std::string expected) {
  return failure(SpecError{join_path(path, key), std::move(expected), {}});
}

std::string text_of(const Value& completed, std::string_view key) {
  const Value& value = member(completed, key);
  if (value.is_null()) return {};
  OUTRIDER_ASSERT(value.as_string() != nullptr);
  return *value.as_string();
}
std::int64_t integer_of(const Value& completed, std::string_view key) {
  const Value& value = member(completed, key);
  OUTRIDER_ASSERT(value.as_int() != nullptr);
  return *value.as_int();
}
bool flag_of(const Value& completed, std::string_view key) {
  const Value& value = member(completed, key);
  OUTRIDER_ASSERT(value.as_bool() != nullptr);
  return *value.as_bool();
}
Duration duration_of(const Value& completed, std::string_view key) {
  const auto duration = parse_duration(text_of(completed, key));
  OUTRIDER_ASSERT(duration.has_value());
  return *duration;
}
std::vector<std::string> texts_of(const Value& completed, std::string_view key) {
  const Value& value = member(completed, key);
  std::vector<std::string> texts;
  if (value.is_null()) return texts;
  OUTRIDER_ASSERT(value.as_array() != nullptr);
  for (const Value& element : *value.as_array())
    texts.push_back(*element.as_string());
  return texts;
}
bool absent(const Value& completed, std::string_view key) {
  return member(completed, key).is_null();
}

namespace {

/// A list, or one text alone.
void write_text_list(json::Writer& out, const Row& row, SchemaDialect dialect) {
  const bool openapi = dialect == SchemaDialect::openapi;
  if (openapi) {
    if (row.fallback == "null") out.member("nullable", true);
    out.key("anyOf").begin_array().begin_object().member("type", "string").end_object();
    out.begin_object().member("type", "array");
  } else {
    out.key("type").begin_array().value("array").value("string");
    if (row.fallback == "null") out.value("null");
    out.end_array();
  }
  out.member("maxItems", row.max);
  out.key("items").begin_object().member("type", "string").end_object();
  if (openapi) out.end_object().end_array();
}

void write_type(json::Writer& out, const Row& row, SchemaDialect dialect) {
  const auto type = [&](const char* name) {
    const bool nullable = row.fallback == "null";
    if (nullable && dialect == SchemaDialect::json_schema) {
      out.key("type").begin_array().value(name).value("null").end_array();
    } else {
      out.member("type", name);
      if (nullable) out.member("nullable", true);
    }
  };
  switch (row.type) {
    case RowType::boolean:
      type("boolean");
      break;
    case RowType::integer:
      type("integer");
      out.member("minimum", row.min).member("maximum", row.max);
      break;
    case RowType::text:
      type("string");
      if (row.min > 0) out.member("minLength", row.min);
      break;
    case RowType::choice:
      out.key("enum").begin_array();
      for (const std::string_view choice : row.choices)
        out.value(choice);
      out.end_array();
      break;
    case RowType::duration:
      type("string");
      out.member("pattern", "^([0-9]+(ns|us|ms|s|m|h|d))+$");
      break;
    case RowType::text_list:
      write_text_list(out, row, dialect);
      break;
    case RowType::integer_list:
      type("array");
      out.key("items").begin_object().member("type", "integer").end_object();
      break;
    case RowType::text_map:
      type("object");
      out.key("additionalProperties").begin_object().member("type", "string").end_object();
      break;
    case RowType::object:
      type("object");
      break;
    case RowType::object_list:
      type("array");
      out.member("maxItems", row.max).key("items").begin_object();
      write_schema(out, row.rows, dialect);
      out.end_object();
      break;
  }
}

}  // namespace

void write_schema(json::Writer& out, std::span<const Row> rows, SchemaDialect dialect) {
  out.key("properties").begin_object();
  for (const Row& row : rows) {
    out.key(row.key).begin_object().member("description", row.line);
    write_type(out, row, dialect);
    if (row.type == RowType::object) write_schema(out, row.rows, dialect);
    if (!row.fallback.empty() && row.type != RowType::object)
      out.key("default").value(fallback_of(row));
    out.end_object();
  }
  out.end_object().member("additionalProperties", false);
  // OpenAPI permits no empty list.
  const bool any =
      std::any_of(rows.begin(), rows.end(), [](const Row& row) { return row.fallback.empty(); });
  if (!any && dialect == SchemaDialect::openapi) return;
  out.key("required").begin_array();
  for (const Row& row : rows)
    if (row.fallback.empty()) out.value(row.key);
  out.end_array();
}

}  // namespace outrider::registry
