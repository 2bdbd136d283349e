// SPDX-License-Identifier: Apache-2.0
// The last kOutcomesKept outcomes of one check in little memory: 32 bytes each. Equal outputs, as a
// healthy service gives them, are stored once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "probes/probe.h"

namespace outrider::probes {

class OutcomeLog {
 public:
  void add(const Outcome& outcome);
  /// Newest first.
  std::vector<Outcome> read() const;
  bool empty() const { return kept_.empty(); }

 private:
  struct Kept {
    TimePoint at;
    std::uint32_t latency_us;
    std::uint16_t status;
    OutcomeKind kind;
    std::shared_ptr<const std::string> output;
  };
  std::vector<Kept> kept_;  // a ring once it is full
  std::uint8_t newest_ = 0;
};

}  // namespace outrider::probes
