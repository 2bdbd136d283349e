// SPDX-License-Identifier: Apache-2.0
// Which registrations that stopped sending heartbeats are evicted, and when it is better to wait.
// Pure.
//
// A registry that receives fewer heartbeats cannot know whether programs died or whether it no
// longer receives anything. Eureka evicts no instance while fewer than 85 % of the expected
// renewals arrive; with three instances that protects a dead one for an hour. Two questions are
// asked here, which work for one instance as well as for a hundred:
//
//   1. Do the heartbeats of living programs arrive? Each renewal shows how many before it were
//      lost. If more than 15 % were, over at least kSamplesMin heartbeats, the channel is at fault:
//      over all remembered heartbeats, or over the latest ones of programs that are heard now.
//   2. Did many go silent together? More than one, and more than 15 % of all, within kTogether:
//      that is what losing the channel looks like. It is believed for kTogether, or until kCeiling
//      if no program is left to prove that heartbeats still arrive.
//
// Otherwise the expired registrations are evicted: in random order, at most 15 % of all (at least
// one) in a round. After kCeiling of silence nothing protects a registration. A table in
// tests/agent/registry/heartbeats_test.cc shows the outcome for 1 to 100 instances at any loss.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace outrider::registry {

inline constexpr unsigned kRenewalPercent = 85;
inline constexpr std::size_t kSamplesMin = 8;
inline constexpr std::size_t kGapsKept = 16;  // of one instance
inline constexpr std::size_t kLatestGaps = 2;
inline constexpr Duration kEvictionRound = std::chrono::seconds(60);
inline constexpr Duration kTogether = std::chrono::minutes(5);
inline constexpr Duration kCeiling = std::chrono::hours(1);

class Heartbeats {
 public:
  explicit Heartbeats(Random& random) : random_(random) {}

  /// Registered, or registered again: its silence starts from `now`.
  void add(std::string_view id, Duration ttl, TimePoint now);
  void renew(std::string_view id, TimePoint now);
  void remove(std::string_view id);
  bool has(std::string_view id) const { return renewals_.contains(id); }
  std::size_t size() const { return renewals_.size(); }

  /// Those of `expired` (silent for longer than their TTL allows) to evict now. The caller asks
  /// again after kEvictionRound.
  std::vector<std::string> choose(std::vector<std::string> expired, TimePoint now);

  enum class Protection : std::uint8_t { none, lossy, together };
  Protection protection() const { return protection_; }
  /// Lost heartbeats in percent of those that were due, as far as renewals show it.
  unsigned loss_percent() const;

 private:
  /// Of one registration.
  struct Renewals {
    Duration ttl{};
    TimePoint renewed;
    std::vector<Duration> gaps;  // between renewals, newest last
  };
  bool is_silent(const Renewals& renewals, TimePoint now) const;
  struct Count {
    std::uint64_t came = 0, lost = 0;
    bool lossy() const {
      return came + lost >= kSamplesMin && 100 * lost > (100 - kRenewalPercent) * (came + lost);
    }
  };
  static void count(const Renewals& renewals, std::size_t gaps, Count& into);
  Protection judge(TimePoint now) const;

  Random& random_;
  std::map<std::string, Renewals, std::less<>> renewals_;
  std::deque<TimePoint> evicted_;  // when the recently evicted ones went silent
  Protection protection_ = Protection::none;
};
const char* to_string(Heartbeats::Protection protection);

}  // namespace outrider::registry
