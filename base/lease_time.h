// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/time.h"

namespace outrider {

/// How long a lease lasts unless its owner extends it.
struct LeaseTime {
  Duration left{};
  Duration granted{};  // zero: the lease has ended
  bool has_ended() const { return granted <= Duration::zero(); }
  bool operator==(const LeaseTime&) const = default;
};

}  // namespace outrider
