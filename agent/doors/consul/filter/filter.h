// SPDX-License-Identifier: Apache-2.0
// ?filter= of Consul's API: its expression language, over the rows that an endpoint answers with.
//
//   expression := and-term { "or" and-term }       and-term := factor { "and" factor }
//   factor     := "not" factor | "(" expression ")" | match | collection
//   match      := selector ("==" | "!=" | ["not"] ("contains" | "matches")) value
//               | value ["not"] "in" selector | selector "is" ["not"] "empty"
//   collection := ("all" | "any") selector "as" name ["," name] "{" expression "}"
//   selector   := name { "." name | "[" string "]" }       value := selector | number | string
//
// A selector that goes through a list matches if any element matches, also with "!=". A key that a
// map does not have equals no value, is in no list, and is empty. Everything outside this language
// or outside the endpoint's rows (selectors.h) is an error that gives the position.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/doors/consul/filter/selectors.h"
#include "base/json.h"
#include "base/result.h"

namespace outrider::doors::consul {

inline constexpr std::size_t kFilterBytesMax = 1'024;
inline constexpr unsigned kFilterDepthMax = 32;
/// Of a row as it is sent; a longer one is not wanted by any filter.
inline constexpr std::size_t kRowBytesMax = 1U << 20;

class Filter {
 public:
  /// An empty text selects everything.
  static Result<Filter, std::string> parse(std::string_view text, Rows rows);
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  /// Whether everything is selected, so that rows need not be judged.
  bool all() const { return root_ == nullptr; }
  bool wants(const json::Value& row) const;
  /// The same of a row as it is sent.
  bool wants(std::string_view row) const;

  struct Node;

 private:
  explicit Filter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace outrider::doors::consul
