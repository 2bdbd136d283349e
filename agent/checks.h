// SPDX-License-Identifier: Apache-2.0
// Keeps the runner's checks equal to the registry's: what is registered is probed, and results go
// back to the registry. Critical registrations that were dropped are still probed, with a growing
// interval. A target must be an address of this host: otherwise the check is critical without
// being probed.
//
//   Agent::apply ▸ Checks::apply ▸ Runner     Runner ▸ on_health, on_outcome ▸ Sink ▸ Registry
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/doors/metrics.h"
#include "agent/registry/model.h"
#include "agent/registry/target.h"
#include "base/json.h"
#include "probes/runner.h"

namespace outrider {

/// A dropped registration is probed at least this often.
inline constexpr Duration kDroppedIntervalMax = std::chrono::seconds(30);

class Checks final : private probes::Runner::Sink {
 public:
  class Sink {
   public:
    /// Every heartbeat, every change of health, and every new output of a check that is failing.
    virtual void on_check(const CheckKey& check, CheckHealth health, const std::string& output) = 0;
    /// The target of a probe refused the connection; called for each such probe.
    virtual void on_refused(const CheckKey& check) = 0;
    /// A probe or heartbeat passed; called for each of them.
    virtual void on_passed(const CheckKey& check) = 0;

   protected:
    ~Sink() = default;
  };

  Checks(Env& env, Sink& sink);
  ~Checks();

  /// Starts, changes and ends the checks of the registration `after` (null: it was removed). May
  /// call the sink before it returns: a check whose target is not allowed is critical at once.
  void apply(const registry::InstancePtr& before, const registry::InstancePtr& after);
  void end_all();
  /// A heartbeat. Returns false if the check is not a TTL check. Calls the sink before it returns.
  bool renew(const CheckKey& key, CheckHealth health, std::string output);
  /// Probes all checks of an instance now; returns which these are.
  std::vector<CheckKey> probe_now(const registry::Instance& instance);
  /// Addresses of this host changed: decides again which targets may be probed.
  void recheck_targets();

  const probes::Runner& runner() const { return runner_; }
  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  struct Entry {
    registry::CheckSpec spec;
    std::optional<registry::CheckTarget> target;  // nothing: the kind has none, or it is invalid
    bool refused = false;                         // not probed, because the target is not allowed
    std::string output;                           // the last one given to the sink
    bool probed = false;                          // an outcome has been given to the sink
    bool dropped = false;                         // the registration is
    Duration backoff{};                           // zero unless dropped
  };

  void on_health(const CheckKey& key, CheckHealth health, const probes::Outcome& last) override;
  void on_outcome(const CheckKey& key, CheckHealth health, const probes::Outcome& outcome) override;

  void add(const registry::Instance& instance, const registry::CheckState& check);
  static bool is_same(const Entry& entry, const registry::CheckSpec& check,
                      const registry::Instance& instance);
  /// Why the target may not be probed; empty: it may.
  std::string refusal(const Entry& entry) const;
  /// Reports a check that is not probed as critical.
  void report_refused(const CheckKey& key, const std::string& why);
  void report(const CheckKey& key, Entry& entry, CheckHealth health, const std::string& output);
  enum class Registered : std::uint8_t { before, again };
  void update_backoff(const CheckKey& key, Entry& entry, const registry::Instance& instance,
                      Registered registered);
  void update_aliases(const std::string& instance_id, const registry::InstancePtr& now);
  void start_alias(const CheckKey& key, const AliasCheck& alias);
  void slow_down(const CheckKey& key, Entry& entry);

  Env& env_;
  Sink& sink_;
  probes::Runner runner_;
  std::map<CheckKey, Entry> entries_;
  std::map<std::string, CheckHealth> followed_;  // by instance id: the health aliases were given
  std::uint64_t outcomes_ = 0, failed_outcomes_ = 0;
};

}  // namespace outrider
