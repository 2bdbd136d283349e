// SPDX-License-Identifier: Apache-2.0
// Keeps registrations at the local Consul agent, each with a TTL check that tells our verdict.
//
//   put ▸ look (who holds the id?) ▸ enroll ▸ beat, each half or third of the TTL
//             └ another program: conflict        └ unknown there: look
//
// While a change is refused and tried again, heartbeats go on for what the Consul agent has.
// Ids are unique in one Consul agent: what another program has registered under an id of ours, so
// without our mark, is never overwritten. Copies of foreign instances have ids of their own; what
// another agent has copied is taken over when its check has ended. Heartbeats of all registrations
// are due in the same turn. What is not taken back, because we crashed or Consul did not answer,
// Consul itself deregisters.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "registries/back_off.h"
#include "registries/consul/client.h"

namespace outrider::registries::consul {

/// What the Consul agent has lost is registered again within this, at a random time.
inline constexpr Duration kEnrollDelayMax = std::chrono::seconds(1);
/// In every so many rounds of heartbeats it is looked whether the ids are still ours.
inline constexpr unsigned kRoundsPerLook = 16;

class Publisher {
 public:
  class Sink {
   public:
    virtual void on_conflict(const std::string& id, const std::string& key,
                             const std::string& holder) = 0;
    /// For people. Empty: the agent has taken a request after a failure, or the first one.
    virtual void on_publisher_error(const std::string& reason) = 0;
    /// The agent does not answer.
    virtual void on_silence(const std::string& reason) = 0;

   protected:
    ~Sink() = default;
  };

  Publisher(Env& env, const Options& options, NameLookup* names, Sink& sink);
  ~Publisher();

  void put(const Entry& registration);
  /// `key` as of the entry that was put.
  void remove(std::string_view id, std::string_view key);
  /// The agent answers others: what waits for its next try is tried now.
  void hurry();
  /// Takes everything back.
  void stop(Callback<void()> done);

  /// When the agent answered a request last, whatever it said.
  TimePoint last_answer() const { return answered_; }
  /// Registrations that the agent has.
  std::size_t written() const;
  bool is_registered(const std::string& id) const;
  std::vector<WrittenKey> keys_of(std::string_view id) const;
  /// Ids that could not be written, and what of them, and why.
  std::vector<std::string> warnings() const;

 private:
  enum class Step : std::uint8_t { none, look, judge, enroll, beat };
  struct Item {
    Entry wanted;
    std::string described;   // its registration, whatever its health
    std::string registered;  // what the agent has of that; empty: nothing
    std::vector<std::string> left_out;
    Step step = Step::look;
    bool existed = false;    // when it was looked for
    bool may_exist = false;  // at the agent, by us
    bool conflict = false;
    std::string reason;  // of a refusal, or who holds the id
    std::string holder;  // another agent, whose copy is to be judged
    TimePoint not_before;
    /// When a heartbeat is due for what the agent has, although another step waits.
    std::optional<TimePoint> beat_at;
    TimePoint told;  // when the agent took the last heartbeat, or the registration
    /// Whether the agent has it, and something else is still to be done.
    bool waits() const {
      return !registered.empty() && (step == Step::look || step == Step::enroll);
    }
  };

  void work();
  void work_later(Duration delay);
  void start(const std::string& id, Item& item);
  void look(const std::string& id);
  void on_looked(Item& item, const Result<Answer, Failure>& result);
  void judge(const std::string& id);
  void on_judged(Item& item, const Result<Answer, Failure>& result);
  void enroll(const std::string& id, Item& item);
  void on_enrolled(const std::string& id, const std::string& described, Health health,
                   const Result<Answer, Failure>& result);
  void beat(const std::string& id, const Item& item);
  void on_beat(Item& item, const std::string& told, const Result<Answer, Failure>& result);
  void beat_all();
  void take_back(const std::string& id);
  void deregister(const std::string& id);
  void on_taken_back(const std::string& id, const Result<Answer, Failure>& result);
  bool on_unreachable(const Result<Answer, Failure>& result);
  void set_conflict(Item& item, const std::string& holder);
  void end_conflict(Item& item);
  void forget(Item& item);
  void refuse(Item& item, const std::string& reason);
  void note_error(const std::string& reason);
  void leave_next();
  void finish();

  Env& env_;
  const Options& options_;
  Sink& sink_;
  Client client_;
  BackOff back_off_;
  std::map<std::string, Item, std::less<>> items_;
  std::map<std::string, TimePoint> removals_;  // ids no longer wanted, and when to try each
  TimePoint answered_{};                       // when the agent answered last
  TimePoint not_before_;                       // of any next step
  unsigned rounds_ = 0;
  std::optional<std::string> error_;  // that was said last; nothing yet
  bool stopping_ = false;
  Callback<void()> stopped_;
  Timer work_timer_, beat_timer_, stop_timer_;
};

}  // namespace outrider::registries::consul
