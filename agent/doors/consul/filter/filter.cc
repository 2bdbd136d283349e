// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/consul/filter/filter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/doors/consul/filter/tree.h"
#include "base/assert.h"

namespace outrider::doors::consul {
namespace {

using Node = Filter::Node;
using Values = std::vector<const json::Value*>;

bool is_empty(const json::Value* value) {
  if (value == nullptr) return true;
  if (const json::Array* list = value->as_array()) return list->empty();
  if (const json::Object* map = value->as_object()) return map->empty();
  return value->is_null();
}

bool is_in(const Match& match, const json::Value* value) {
  if (value == nullptr) return match.selection.type == FieldType::text && match.value.empty();
  if (const std::string* text = value->as_string())
    return text->find(match.value) != std::string::npos;
  if (value->as_object() != nullptr) return value->find(match.value) != nullptr;
  const json::Array* list = value->as_array();
  return list != nullptr && std::any_of(list->begin(), list->end(), [&](const json::Value& item) {
           return item.as_string() != nullptr && *item.as_string() == match.value;
         });
}

/// A field that is missing in our rows has the value that it has in Consul by default.
bool is_equal(const Match& match, const json::Value* value) {
  if (match.selection.type == FieldType::number) {
    const std::int64_t* number = value != nullptr ? value->as_int() : nullptr;
    return (number != nullptr ? *number : 0) == match.number;
  }
  if (match.selection.type == FieldType::flag) {
    const bool* flag = value != nullptr ? value->as_bool() : nullptr;
    return (flag != nullptr && *flag) == match.flag;
  }
  const std::string* text = value != nullptr ? value->as_string() : nullptr;
  return (text != nullptr ? std::string_view(*text) : std::string_view()) == match.value;
}

bool holds_for(const Match& match, const json::Value* value) {
  switch (match.op) {
    case Operator::equals:
      return is_equal(match, value);
    case Operator::in:
      return is_in(match, value);
    case Operator::is_empty:
      return is_empty(value);
    case Operator::matches: {
      const std::string* text = value != nullptr ? value->as_string() : nullptr;
      return match.pattern->found_in(text != nullptr ? std::string_view(*text) : "");
    }
  }
  OUTRIDER_UNREACHABLE();
}

/// From `value` on along the steps of the path.
bool holds_along(const Match& match, const json::Value* value, std::size_t step) {
  if (step == match.selection.steps.size()) return holds_for(match, value) != match.negated;
  const std::string& name = match.selection.steps[step];
  if (name == "[]") {
    const json::Array* list = value != nullptr ? value->as_array() : nullptr;
    return list != nullptr && std::any_of(list->begin(), list->end(), [&](const json::Value& item) {
             return holds_along(match, &item, step + 1);
           });
  }
  const json::Value* next = value != nullptr ? value->find(name) : nullptr;
  if (next == nullptr && match.selection.is_key[step])
    return (match.op == Operator::is_empty) != match.negated;
  return holds_along(match, next, step + 1);
}

const json::Value* value_along(const Selection& selection, const Values& scopes) {
  const json::Value* value = scopes[selection.scope];
  for (const std::string& step : selection.steps)
    value = value != nullptr ? value->find(step) : nullptr;
  return value;
}

bool holds(const Node& node, Values& scopes);

/// The expression of a collection for one element.
bool holds_within(const Node& node, Values& scopes, const json::Value& key,
                  const json::Value& value) {
  const std::size_t before = scopes.size();
  if (node.binds_key) scopes.push_back(&key);
  if (node.binds_value) scopes.push_back(&value);
  const bool held = holds(*node.children.front(), scopes);
  scopes.resize(before);
  return held;
}

bool holds_for_collection(const Node& node, Values& scopes) {
  const bool every = node.kind == Node::Kind::for_all;
  const json::Value* collection = value_along(node.collection, scopes);
  if (collection == nullptr) return every;
  if (const json::Object* map = collection->as_object()) {
    for (const auto& [name, value] : *map)
      if (holds_within(node, scopes, json::Value(name), value) != every) return !every;
  } else if (const json::Array* list = collection->as_array()) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const json::Value index(static_cast<std::int64_t>(i));
      if (holds_within(node, scopes, index, (*list)[i]) != every) return !every;
    }
  }
  return every;
}

bool holds(const Node& node, Values& scopes) {
  const auto child_holds = [&](const auto& child) { return holds(*child, scopes); };
  switch (node.kind) {
    case Node::Kind::all_of:
      return std::all_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::any_of:
      return std::any_of(node.children.begin(), node.children.end(), child_holds);
    case Node::Kind::negation:
      return !child_holds(node.children.front());
    case Node::Kind::match:
      return holds_along(node.match, scopes[node.match.selection.scope], 0);
    case Node::Kind::for_all:
    case Node::Kind::for_any:
      return holds_for_collection(node, scopes);
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

Filter::Filter(std::unique_ptr<Node> root) : root_(std::move(root)) {}
Filter::Filter(Filter&&) noexcept = default;
Filter& Filter::operator=(Filter&&) noexcept = default;
Filter::~Filter() = default;

Result<Filter, std::string> Filter::parse(std::string_view text, Rows rows) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Filter(nullptr);
  if (text.size() > kFilterBytesMax)
    return failure("filter: longer than " + std::to_string(kFilterBytesMax) + " octets");
  auto root = parse_filter(text, rows);
  if (!root) return failure("filter: " + root.error());
  return Filter(std::move(*root));
}

bool Filter::wants(const json::Value& row) const {
  if (root_ == nullptr) return true;
  Values scopes = {&row};
  return holds(*root_, scopes);
}

bool Filter::wants(std::string_view row) const {
  if (root_ == nullptr) return true;
  const auto value = json::parse_foreign(row, kRowBytesMax);
  return value.has_value() && wants(*value);
}

}  // namespace outrider::doors::consul
