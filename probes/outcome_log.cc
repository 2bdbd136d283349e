// SPDX-License-Identifier: Apache-2.0
#include "probes/outcome_log.h"

#include <algorithm>
#include <array>
#include <limits>

namespace outrider::probes {
namespace {

std::uint32_t microseconds(Duration latency) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, kMost));
}

using Tenths = std::chrono::duration<std::int64_t, std::deci>;
using LatencyUnits = std::chrono::duration<std::int64_t, std::ratio<1, 100'000>>;  // 10 µs
constexpr std::int64_t kLatencyUnitsMax = (1 << 24) - 1;

/// Puts `value` behind the newest of a ring that grows to `most`.
template <class Value>
void put(std::vector<Value>& ring, std::uint8_t& newest, std::size_t most, Value value) {
  if (ring.size() < most) {
    newest = static_cast<std::uint8_t>(ring.size());
    ring.push_back(std::move(value));
  } else {
    newest = static_cast<std::uint8_t>((newest + 1U) % most);
    ring[newest] = std::move(value);
  }
}

}  // namespace

void OutcomeLog::add(const Outcome& outcome) {
  std::shared_ptr<const std::string> output;
  if (!kept_.empty()) {
    const auto last = kept_[newest_].output;
    if (*last == outcome.output) {
      output = last;
    } else if (last->size() > kOlderOutputBytesMax) {
      const auto cut = std::make_shared<const std::string>(*last, 0, kOlderOutputBytesMax);
      for (Kept& kept : kept_)
        if (kept.output == last) kept.output = cut;
    }
  }
  if (!output) output = std::make_shared<const std::string>(outcome.output);
  Kept kept{outcome.at, microseconds(outcome.latency), static_cast<std::uint16_t>(outcome.status),
            outcome.kind, std::move(output)};
  put(kept_, newest_, kOutcomesKept, std::move(kept));
  const std::int64_t latency = std::clamp<std::int64_t>(
      std::chrono::duration_cast<LatencyUnits>(outcome.latency).count(), 0, kLatencyUnitsMax);
  const auto at = std::chrono::duration_cast<Tenths>(outcome.at.time_since_epoch()).count();
  put(ticks_, newest_tick_, kTicksKept,
      PackedTick{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(latency) & 0xff'ffffU,
                 static_cast<std::uint8_t>(outcome.kind)});
}

std::vector<Tick> OutcomeLog::ticks() const {
  std::vector<Tick> ticks;
  ticks.reserve(ticks_.size());
  for (std::size_t back = 0; back < ticks_.size(); ++back) {
    const PackedTick& tick = ticks_[(newest_tick_ + ticks_.size() - back) % ticks_.size()];
    ticks.push_back({TimePoint(Tenths(tick.at)), LatencyUnits(tick.latency),
                     static_cast<OutcomeKind>(tick.kind)});
  }
  return ticks;
}

std::vector<Outcome> OutcomeLog::read() const {
  std::vector<Outcome> outcomes;
  outcomes.reserve(kept_.size());
  for (std::size_t back = 0; back < kept_.size(); ++back) {
    const Kept& kept = kept_[(newest_ + kept_.size() - back) % kept_.size()];
    outcomes.push_back({kept.kind, kept.status, std::chrono::microseconds(kept.latency_us),
                        *kept.output, kept.at});
  }
  return outcomes;
}

std::optional<Duration> OutcomeLog::median() const {
  if (ticks_.empty()) return std::nullopt;
  std::array<std::uint32_t, kTicksKept> latencies;
  const auto end = std::ranges::transform(ticks_, latencies.begin(), [](const PackedTick& tick) {
                     return tick.latency;
                   }).out;
  const auto middle = latencies.begin() + (end - latencies.begin()) / 2;
  std::nth_element(latencies.begin(), middle, end);
  return LatencyUnits(*middle);
}

}  // namespace outrider::probes
