// SPDX-License-Identifier: Apache-2.0
// What EXPECT and EVERY say of messages: of which kind, how many, when, and what must hold of each.
#pragma once

#include <functional>

#include "tests/scenarios/mdns/pattern.h"

namespace outrider::mdns {

struct Expectation {
  std::string kind = "message";  // probe, query, response
  // How many: at least one if nothing is said.
  bool at_least_one = true;
  std::size_t least = 1, most = 1;
  // When, from the mark on.
  Duration from{}, until{};
  bool whole_window = false;  // wait for its end, for there may be too many
  std::optional<std::pair<Duration, Duration>> apart;
  std::vector<std::function<bool(const Message&)>> conditions;
  bool v6 = false;
  std::vector<Item> items;

  /// Family and kind, nothing else: what EVERY speaks about.
  bool concerns(const Message& message) const;
  /// All conditions and items.
  bool holds(const Message& message, Names& names) const;
};

/// words[1] is the first after the verb. An error is what is wrong.
std::string parse_expectation(const Words& words, Expectation& out);

/// "250ms..300ms", or one duration for both.
std::string parse_range(const std::string& text, Duration& from, Duration& until);

}  // namespace outrider::mdns
