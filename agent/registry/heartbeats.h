// SPDX-License-Identifier: Apache-2.0
// Which registrations that stopped renewing are evicted, and when it is wiser to wait. Pure.
//
// A registry that hears fewer heartbeats cannot know whether programs died or whether it has gone
// deaf. Eureka's answer (no eviction while fewer than 85 % of the expected renewals come) protects
// the only instance of three for an hour. Ours asks two things, which work for one as for a
// hundred:
//
//   1. Do the heartbeats of who lives arrive? Each renewal shows how many before it were lost. If
//      more than 15 % of them were, over at least kSamplesMin heartbeats, the channel is at fault:
//      over all that is remembered, or over the latest of those who are heard now.
//   2. Did many go silent together? More than one, and more than 15 % of all, within kTogether: so
//      it is when we go deaf. It is believed for kTogether, or until the ceiling if nobody else is
//      left to prove that we hear.
//
// Otherwise the expired ones are evicted: in random order, at most 15 % of all (at least one) a
// round. Beyond kCeiling of silence nothing protects. What becomes of 1 to 100 instances at any
// loss is a table in tests/agent/registry/heartbeats_test.cc.
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

  /// Registered, or registered again: its silence begins anew.
  void add(std::string_view id, Duration ttl, TimePoint now);
  void renew(std::string_view id, TimePoint now);
  void remove(std::string_view id);
  bool has(std::string_view id) const { return members_.contains(id); }
  std::size_t size() const { return members_.size(); }

  /// Those of `expired` (silent for longer than they may) that are to be evicted now. The caller
  /// asks again after kEvictionRound.
  std::vector<std::string> choose(std::vector<std::string> expired, TimePoint now);

  enum class Protection : std::uint8_t { none, lossy, together };
  Protection protection() const { return protection_; }
  /// Heartbeats that were lost, in percent of those that were due, as far as renewals show it.
  unsigned loss_percent() const;

 private:
  struct Member {
    Duration ttl{};
    TimePoint renewed;
    std::vector<Duration> gaps;  // between renewals, newest last
  };
  bool is_silent(const Member& member, TimePoint now) const;
  struct Count {
    std::uint64_t came = 0, lost = 0;
    bool lossy() const {
      return came + lost >= kSamplesMin && 100 * lost > (100 - kRenewalPercent) * (came + lost);
    }
  };
  static void count(const Member& member, std::size_t gaps, Count& into);
  Protection judge(TimePoint now) const;

  Random& random_;
  std::map<std::string, Member, std::less<>> members_;
  std::deque<TimePoint> evicted_;  // when those evicted lately went silent
  Protection protection_ = Protection::none;
};
const char* to_string(Heartbeats::Protection protection);

}  // namespace outrider::registry
