// SPDX-License-Identifier: Apache-2.0
// What a filter expression is made into.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/consul/filter/filter.h"
#include "agent/doors/consul/filter/selectors.h"
#include "base/pattern.h"

namespace outrider::doors::consul {

enum class Operator : std::uint8_t { equals, in, matches, is_empty };

/// Where a selector begins: 0 is the row, others are what collections around it have bound, in the
/// order in which they did.
inline constexpr std::size_t kRowScope = 0;

struct Selection {
  std::size_t scope = kRowScope;
  std::string path;                // of the field: TaggedAddresses.*.Port
  std::vector<std::string> steps;  // the path with the keys that were asked for
  std::vector<bool> is_key;        // of each step: it is a key of a map
  FieldType type = FieldType::text;
};

struct Match {
  Selection selection;
  Operator op = Operator::equals;
  bool negated = false;
  std::string value;
  std::int64_t number = 0;  // the value, if the field is a number
  bool flag = false;        // or true or false
  std::optional<Pattern> pattern;
};

struct Filter::Node {
  enum class Kind : std::uint8_t { all_of, any_of, negation, match, for_all, for_any };
  Kind kind = Kind::match;
  std::vector<std::unique_ptr<Node>> children;
  Match match;
  // for_all and for_any: of each element of the collection, what the names stand for.
  Selection collection;
  bool binds_key = false;  // or the index
  bool binds_value = false;
};

/// An error says where.
Result<std::unique_ptr<Filter::Node>, std::string> parse_filter(std::string_view text, Rows rows);

}  // namespace outrider::doors::consul
