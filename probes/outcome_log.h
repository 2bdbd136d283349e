// SPDX-License-Identifier: Apache-2.0
// The last kOutcomesKept outcomes of one check in little memory: 32 bytes each. Equal outputs, as a
// healthy service gives them, are stored once. Of the last kTicksKept, kind and latency: 8 bytes
// each.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "probes/probe.h"

namespace outrider::probes {

class OutcomeLog {
 public:
  void add(const Outcome& outcome);
  /// Newest first.
  std::vector<Outcome> read() const;
  /// Newest first, at most kTicksKept.
  std::vector<Tick> ticks() const;
  /// Of their latencies; nothing if there are none.
  std::optional<Duration> median() const;
  bool empty() const { return kept_.empty(); }

 private:
  struct Kept {
    TimePoint at;
    std::uint32_t latency_us;
    std::uint16_t status;
    OutcomeKind kind;
    std::shared_ptr<const std::string> output;
  };
  struct PackedTick {
    std::uint32_t at;            // in tenths of a second of the monotonic clock
    std::uint32_t latency : 24;  // in kLatencyUnit
    std::uint32_t kind : 8;
  };
  std::vector<Kept> kept_;  // rings once they are full
  std::vector<PackedTick> ticks_;
  std::uint8_t newest_ = 0, newest_tick_ = 0;
};

}  // namespace outrider::probes
