// SPDX-License-Identifier: Apache-2.0
#include "probes/outcome_log.h"

#include <algorithm>
#include <limits>

namespace outrider::probes {
namespace {

std::uint32_t microseconds(Duration latency) {
  const auto count = std::chrono::duration_cast<std::chrono::microseconds>(latency).count();
  constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, kMost));
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
  if (kept_.size() < kOutcomesKept) {
    newest_ = static_cast<std::uint8_t>(kept_.size());
    kept_.push_back(std::move(kept));
  } else {
    newest_ = static_cast<std::uint8_t>((newest_ + 1U) % kOutcomesKept);
    kept_[newest_] = std::move(kept);
  }
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

}  // namespace outrider::probes
