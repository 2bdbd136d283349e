// SPDX-License-Identifier: Apache-2.0
// What `outrider doctor` has found: each a sentence, and what to do about it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace outrider::cli {

enum class Level : std::uint8_t { good, note, bad };

struct Finding {
  Level level = Level::good;
  std::string what;
  std::string advice;  // what to do; empty: nothing
};
using Findings = std::vector<Finding>;

// doctor_units.cc
/// Units of agents that cannot start, have failed, or would not start again.
void examine_units(Findings& out);

}  // namespace outrider::cli
