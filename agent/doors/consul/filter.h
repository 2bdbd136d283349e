// SPDX-License-Identifier: Apache-2.0
// ?filter= of Consul's API: the common comparisons of its expression language, over one instance.
//
//   expr    := term { "or" term }          term := factor { "and" factor }
//   factor  := "not" factor | "(" expr ")" | comparison
//   comparison := selector ("=="|"!=") value | selector ["not"] ("contains"|"in"-forms below)
//              | value ["not"] "in" selector | selector "is" ["not"] "empty"
//
// Selectors: Service.{ID,Service,Address,Port,Tags,Meta.KEY}, the same flattened (ServiceID,
// ServiceMeta.KEY, …) or bare (ID, Tags, Meta.KEY), Node, Node.Node, Checks.Status. Anything else
// is an error that names it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/registry/host_view.h"
#include "agent/registry/model.h"
#include "base/result.h"

namespace outrider::doors::consul {

inline constexpr std::size_t kFilterBytesMax = 1'024;
inline constexpr unsigned kFilterDepthMax = 32;

class Filter {
 public:
  /// An empty text selects everything.
  static Result<Filter, std::string> parse(std::string_view text);
  Filter(Filter&&) noexcept;
  Filter& operator=(Filter&&) noexcept;
  ~Filter();

  bool wants(const registry::Instance& instance, const registry::HostView& host) const;

  struct Node;

 private:
  explicit Filter(std::unique_ptr<Node> root);
  std::unique_ptr<Node> root_;
};

}  // namespace outrider::doors::consul
