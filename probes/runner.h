// SPDX-License-Identifier: Apache-2.0
// Drives checks in time: never two runs of one check at once, jitter ±10 %, a bound on the runs
// under way. Tells verdicts only when they change; outcomes can be read at any time.
//
// Heartbeats (TtlCheck) and aliases have no runs of their own: renew() and instance_health() tell
// the runner, count at once, and are not damped.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "probes/check.h"

namespace outrider::probes {

inline constexpr std::size_t kProbesInFlightMax = 256;
/// A clock that jumped by more than this means that the machine slept.
inline constexpr Duration kSuspendNoticed = std::chrono::seconds(2);
/// A timer that comes later than this: the process was stopped, or starved, and what it waited for
/// may lie unread. It is waited for once more, a heartbeat for so long.
inline constexpr Duration kLateNoticed = std::chrono::milliseconds(100);
inline constexpr Duration kLateGrace = std::chrono::seconds(1);

struct CheckStatus {
  Health health = Health::starting;
  std::vector<Outcome> outcomes;  // newest first, at most kOutcomesKept
  std::uint32_t successes = 0, failures = 0;
  bool flapping = false;
  TimePoint next;  // when the next probe is due
};

class Runner {
 public:
  class Sink {
   public:
    /// The health of a check changed. May add and remove checks, this one too.
    virtual void on_health(const std::string& check_id, Health health, const Outcome& last) = 0;
    /// A probe ended (every one; after on_health). For counters and `why`; keep it cheap.
    virtual void on_outcome(const std::string&, const Outcome&) {}

   protected:
    ~Sink() = default;
  };

  Runner(Env& env, Sink& sink);
  ~Runner();

  /// The first probe starts at once (within min(interval/10, 500 ms)). False: kChecksMax, or the id
  /// is taken, or the check is not valid, or it needs a module that is not there (see `why`).
  bool add(const CheckSpec& spec, std::string* why = nullptr);
  void remove(const std::string& check_id);
  /// Slows probing down to `interval` (registration dropped, back-off) or back to the check's own.
  void set_interval(const std::string& check_id, std::optional<Duration> interval);
  /// The instance of this check starts anew: fast probes again for start_timeout.
  void restart(const std::string& check_id);
  /// Probes now instead of when it is due.
  void look_now(const std::string& check_id);
  /// Heartbeat of a TTL check: pass, warn or fail by API. False for any other check. The sink is
  /// called before it returns.
  bool renew(const std::string& check_id, Outcome outcome);
  /// For every alias check of that instance; tell it again after adding one. The sink is called
  /// before it returns. An instance that starts anew fails its aliases.
  void instance_health(const std::string& instance_id, Health health);
  /// The machine slept: counts forgotten, everything probed again, heartbeats get a full ttl. The
  /// runner notices by itself before the next probe or outcome; whoever knows earlier says so.
  void resume();

  std::optional<CheckStatus> status(const std::string& check_id) const;
  std::size_t size() const;
  std::size_t in_flight() const;
  /// Checks that changed so often that they need more passes.
  std::size_t flapping() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::probes
