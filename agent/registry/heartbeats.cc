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
  Member& member = members_[std::string(id)];
  member.ttl = ttl;
  member.renewed = now;
}

void Heartbeats::renew(std::string_view id, TimePoint now) {
  const auto found = members_.find(id);
  if (found == members_.end()) return;
  Member& member = found->second;
  if (now > member.renewed) member.gaps.push_back(now - member.renewed);
  if (member.gaps.size() > kGapsKept) member.gaps.erase(member.gaps.begin());
  member.renewed = now;
}

void Heartbeats::remove(std::string_view id) {
  if (const auto found = members_.find(id); found != members_.end()) members_.erase(found);
}

bool Heartbeats::is_silent(const Member& member, TimePoint now) const {
  return now - member.renewed > member.ttl;
}

/// Nobody tells us how often he means to renew: his shortest gap does. Silence that goes on is not
/// counted, only what a renewal has ended: the dead must not speak for the channel.
void Heartbeats::count(const Member& member, std::size_t gaps, Count& into) {
  if (member.gaps.empty()) return;
  // A program that renews twice by accident has not doubled its pace.
  const Duration pace =
      std::max(*std::min_element(member.gaps.begin(), member.gaps.end()), member.ttl / 6);
  for (std::size_t i = member.gaps.size() - std::min(gaps, member.gaps.size());
       i < member.gaps.size(); ++i) {
    ++into.came;
    const auto due = std::max<Duration::rep>(1, (member.gaps[i] + pace / 2) / pace);
    into.lost += static_cast<std::uint64_t>(due - 1);
  }
}

unsigned Heartbeats::loss_percent() const {
  Count all;
  for (const auto& [id, member] : members_)
    count(member, kGapsKept, all);
  const std::uint64_t due = all.came + all.lost;
  return due == 0 ? 0 : static_cast<unsigned>(100 * all.lost / due);
}

Heartbeats::Protection Heartbeats::judge(TimePoint now) const {
  Count all, latest;
  for (const auto& [id, member] : members_) {
    count(member, kGapsKept, all);
    // When hearing comes back, those heard first show it long before the average does.
    if (!is_silent(member, now)) count(member, kLatestGaps, latest);
  }
  if (all.lossy() || latest.lossy()) return Protection::lossy;

  std::size_t silent = 0, lately = 0;
  for (const auto& [id, member] : members_) {
    if (!is_silent(member, now)) continue;
    ++silent;
    if (now - (member.renewed + member.ttl) <= kTogether) ++lately;
  }
  for (const TimePoint since : evicted_)
    if (now - since <= kTogether) ++lately;
  const std::size_t population = members_.size() + evicted_.size();
  const std::size_t usual = std::max<std::size_t>(1, population * (100 - kRenewalPercent) / 100);
  if (lately > usual) return Protection::together;
  // Everybody is silent, and they were several: nobody is left to prove that we hear.
  if (silent > 1 && silent == members_.size()) return Protection::together;
  return Protection::none;
}

std::vector<std::string> Heartbeats::choose(std::vector<std::string> expired, TimePoint now) {
  while (!evicted_.empty() && now - evicted_.front() > kTogether)
    evicted_.pop_front();
  std::erase_if(expired, [&](const std::string& id) { return !members_.contains(id); });
  protection_ = judge(now);
  if (protection_ != Protection::none)
    std::erase_if(expired, [&](const std::string& id) {
      return now - members_.find(id)->second.renewed < kCeiling;
    });
  const std::size_t n = members_.size();
  const std::size_t most = std::max<std::size_t>(1, n - n * kRenewalPercent / 100);
  // The first `most` of a shuffle (Knuth): in the order of ids a whole service would go at once.
  const std::size_t count = std::min(most, expired.size());
  for (std::size_t i = 0; i < count; ++i)
    std::swap(expired[i], expired[i + random_.below(expired.size() - i)]);
  expired.resize(count);
  for (const std::string& id : expired) {
    const Member& member = members_.find(id)->second;
    evicted_.push_back(member.renewed + member.ttl);
    remove(id);
  }
  std::sort(evicted_.begin(), evicted_.end());
  return expired;
}

}  // namespace outrider::registry
