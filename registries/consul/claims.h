// SPDX-License-Identifier: Apache-2.0
// Claims of this agent: keys that one session of Consul has at a time.
//
//   claim ▸ session ▸ acquire ▸ held ─ session lost ▸ session
//                        └ another agent's ▸ the list of claims says when it is free ▸ acquire
//
// One session holds all claims of an agent, and is renewed; one blocking query follows the claims
// of all agents. Whether a claim is held is what Consul answers to `acquire`: the list only says
// when to ask. A session that could not be renewed counts as lost kSessionMargin before Consul may
// end it. Without claims there is no session, and nothing is asked.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "registries/back_off.h"
#include "registries/consul/client.h"
#include "registries/consul/locks.h"

namespace outrider::registries::consul {

inline constexpr std::size_t kClaimsMax = 1'024;
inline constexpr Duration kSessionMargin = std::chrono::seconds(2);
/// A claim that is no longer wanted is kept for this long: first the caller withdraws what it did
/// under it.
inline constexpr Duration kSurrenderDelay = std::chrono::seconds(1);
/// When a key that no agent holds could not be had, because of kLockDelay.
inline constexpr Duration kClaimRetry = kLockDelay + std::chrono::milliseconds(500);
/// Lists of claims come no more often than this; without any claim there is nothing to wait for.
inline constexpr Duration kLocksInterval = std::chrono::seconds(1);
inline constexpr Duration kNoLocksInterval = std::chrono::seconds(5);
/// A source without sessions is asked again after this: it may be another one by then.
inline constexpr Duration kSessionsRetry = std::chrono::minutes(1);

class Claims {
 public:
  class Sink {
   public:
    virtual void on_claim(const std::string& name, bool held, const std::string& reason) = 0;
    /// For people.
    virtual void on_claims_error(const std::string& reason) = 0;

   protected:
    ~Sink() = default;
  };

  Claims(Env& env, const Options& options, NameLookup* names, Sink& sink);
  ~Claims();

  /// False: beyond kClaimsMax.
  bool claim(const std::string& name);
  void unclaim(const std::string& name);
  /// The agent answers others: what waits for its next try is tried now.
  void hurry();
  /// Lets other agents have all.
  void stop(Callback<void()> done);

  /// Why there is no election, or a claim cannot be had.
  std::vector<std::string> warnings() const;

 private:
  struct Claim {
    bool held = false;
    bool due = true;  // to be acquired, at not_before
    TimePoint not_before;
    std::string reason;  // why it is not held
    bool refused = false;
    // What the sink was told; nothing yet.
    std::optional<std::pair<bool, std::string>> told = std::nullopt;
  };

  void work();
  void work_later(Duration delay);
  void open_session();
  void on_session(TimePoint asked, const Result<Answer, Failure>& result);
  void count_ttl(TimePoint asked);
  void renew();
  void on_renewed(TimePoint asked, const Result<Answer, Failure>& result);
  void lose(const std::string& reason);
  void destroy(const std::string& session);
  void surrender(const std::string& name);
  void release(const std::string& name, const Result<Answer, Failure>& found);
  void acquire(const std::string& name);
  void on_acquired(const std::string& name, const Result<Answer, Failure>& result);
  bool on_unreachable(const Result<Answer, Failure>& result);
  void deny_all(const std::string& reason, Duration retry);
  void follow();
  void follow_later(Duration delay);
  void on_locks(const Result<Answer, Failure>& result);
  void compare(const std::vector<Lock>& locks);
  void report();
  void finish();

  Env& env_;
  const Options& options_;
  Sink& sink_;
  Client client_, locks_;
  const Duration ttl_;
  BackOff back_off_, locks_back_off_;
  std::map<std::string, Claim> claims_;
  std::map<std::string, TimePoint> surrendered_;  // ▸ when to delete its key
  std::map<std::string, std::string> holders_;    // of the last list, by claim; others alone
  std::set<std::string> lost_sessions_;           // that may still hold keys
  std::string session_;                           // empty: none
  std::string denial_;                            // why there is no election
  TimePoint renew_at_, not_before_, listed_;
  std::uint64_t index_ = 0;  // of the last list
  bool stopping_ = false;
  Callback<void()> stopped_;
  Timer work_timer_, end_timer_, follow_timer_, stop_timer_;
};

}  // namespace outrider::registries::consul
