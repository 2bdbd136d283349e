// SPDX-License-Identifier: Apache-2.0
// The extended error (RFC 8914) of an answer from one of our own zones: one rule for the answers
// and for what explains them. Pure.
#pragma once

#include <cstddef>
#include <optional>

#include "dns/wire/types.h"

namespace outrider::dns {

/// Octets of the text that are kept.
inline constexpr std::size_t kWhyBytesMax = 200;

struct ZoneNameState {
  bool answered = false;  // there are records of the type that was asked for
  bool stale = false;     // they come from links that are down
  bool empty = false;     // the name was set without records of any type
  bool has_why = false;
};
inline std::optional<ExtendedError> zone_error(const ZoneNameState& name) {
  if (name.answered) return name.stale ? std::optional(ExtendedError::stale_answer) : std::nullopt;
  return name.empty && name.has_why ? std::optional(ExtendedError::other) : std::nullopt;
}

}  // namespace outrider::dns
