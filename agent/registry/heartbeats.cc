// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/heartbeats.h"

#include <algorithm>

namespace outrider::registry {

const char* to_string(Heartbeats::Protection protection) {
  switch (protection) {
    case Heartbeats::Protection::none:
      return "none";
    case Heartbeats::Protection::lossy:
      return "heartbeats get lost";
    case Heartbeats::Protection::together:
      return "many went silent together";
  }
  OUTRIDER_UNREACHABLE();
}

void Heartbeats::add(std::string_view id, Duration ttl, TimePoint now) {
  Renewals& renewals = renewals_[std::string(id)];
  renewals.ttl = ttl;
  renewals.renewed = now;
}

void Heartbeats::renew(std::string_view id, TimePoint now) {
  const auto found = renewals_.find(id);
  if (found == renewals_.end()) return;
  Renewals& renewals = found->second;
  if (now > renewals.renewed) renewals.gaps.push_back(now - renewals.renewed);
  if (renewals.gaps.size() > kGapsKept) renewals.gaps.erase(renewals.gaps.begin());
  renewals.renewed = now;
}

void Heartbeats::remove(std::string_view id) {
  if (const auto found = renewals_.find(id); found != renewals_.end()) renewals_.erase(found);
}

bool Heartbeats::is_silent(const Renewals& renewals, TimePoint now) const {
  return now - renewals.renewed > renewals.ttl;
}

/// A program does not say how often it means to renew, so its shortest gap stands for that. Only
/// silence that a renewal has ended is counted: dead programs say nothing about the channel.
void Heartbeats::count(const Renewals& renewals, std::size_t gaps, Count& into) {
  if (renewals.gaps.empty()) return;
  // Two renewals in a row by accident do not double the pace.
  const Duration pace =
      std::max(*std::min_element(renewals.gaps.begin(), renewals.gaps.end()), renewals.ttl / 6);
  for (std::size_t i = renewals.gaps.size() - std::min(gaps, renewals.gaps.size());
       i < renewals.gaps.size(); ++i) {
    ++into.came;
    const auto due = std::max<Duration::rep>(1, (renewals.gaps[i] + pace / 2) / pace);
    into.lost += static_cast<std::uint64_t>(due - 1);
  }
}

unsigned Heartbeats::loss_percent() const {
  Count all;
  for (const auto& [id, renewals] : renewals_)
    count(renewals, kGapsKept, all);
  const std::uint64_t due = all.came + all.lost;
  return due == 0 ? 0 : static_cast<unsigned>(100 * all.lost / due);
}

Heartbeats::Protection Heartbeats::judge(TimePoint now) const {
  Count all, latest;
  for (const auto& [id, renewals] : renewals_) {
    count(renewals, kGapsKept, all);
    // When heartbeats arrive again, the first programs heard show it long before the average does.
    if (!is_silent(renewals, now)) count(renewals, kLatestGaps, latest);
  }
  if (all.lossy() || latest.lossy()) return Protection::lossy;

  std::size_t silent = 0, lately = 0;
  for (const auto& [id, renewals] : renewals_) {
    if (!is_silent(renewals, now)) continue;
    ++silent;
    if (now - (renewals.renewed + renewals.ttl) <= kTogether) ++lately;
  }
  for (const TimePoint since : evicted_)
    if (now - since <= kTogether) ++lately;
  const std::size_t population = renewals_.size() + evicted_.size();
  const std::size_t usual = std::max<std::size_t>(1, population * (100 - kRenewalPercent) / 100);
  if (lately > usual) return Protection::together;
  // All of several are silent: no program is left to prove that heartbeats arrive.
  if (silent > 1 && silent == renewals_.size()) return Protection::together;
  return Protection::none;
}

std::vector<std::string> Heartbeats::choose(std::vector<std::string> expired, TimePoint now) {
  while (!evicted_.empty() && now - evicted_.front() > kTogether)
    evicted_.pop_front();
  std::erase_if(expired, [&](const std::string& id) { return !renewals_.contains(id); });
  protection_ = judge(now);
  if (protection_ != Protection::none)
    std::erase_if(expired, [&](const std::string& id) {
      return now - renewals_.find(id)->second.renewed < kCeiling;
    });
  const std::size_t n = renewals_.size();
  const std::size_t most = std::max<std::size_t>(1, n - n * kRenewalPercent / 100);
  // The first `most` of a shuffle (Knuth): in the order of ids a whole service could go at once.
  const std::size_t count = std::min(most, expired.size());
  for (std::size_t i = 0; i < count; ++i)
    std::swap(expired[i], expired[i + random_.below(expired.size() - i)]);
  expired.resize(count);
  for (const std::string& id : expired) {
    const Renewals& renewals = renewals_.find(id)->second;
    evicted_.push_back(renewals.renewed + renewals.ttl);
    remove(id);
  }
  std::sort(evicted_.begin(), evicted_.end());
  return expired;
}

}  // namespace outrider::registry
