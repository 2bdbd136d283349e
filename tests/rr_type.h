// SPDX-License-Identifier: Apache-2.0
// The types of resource records in scripts.
#pragma once

#include <string_view>

#include "base/text.h"
#include "dns/wire/types.h"

namespace outrider::test {

/// The inverse of to_string, without regard to case. False if the text names no type.
inline bool parse_type(std::string_view text, dns::RrType& type) {
  constexpr unsigned kNamedMax = 300;
  for (unsigned number = 1; number < kNamedMax; ++number) {
    const auto candidate = static_cast<dns::RrType>(number);
    if (!equal_fold(to_string(candidate), text)) continue;
    type = candidate;
    return true;
  }
  if (!equal_fold(text.substr(0, 4), "TYPE")) return false;
  const auto number = parse_number<std::uint16_t>(text.substr(4));
  if (number) type = static_cast<dns::RrType>(*number);
  return number.has_value();
}

}  // namespace outrider::test
