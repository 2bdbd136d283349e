// SPDX-License-Identifier: Apache-2.0
// The registry's checks and the runner's, kept equal: what is registered is probed, verdicts go
// back. Critical registrations that were dropped are probed on with growing distance. Targets have
// to be this host's own: those that are not, or not any more, are critical without being probed.
//
//   Agent::apply ▸ Checks::apply ▸ Runner          Runner ▸ on_health ▸ Sink ▸ Registry ▸ apply
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>

#include "agent/doors/metrics.h"
#include "agent/registry/target.h"
#include "agent/registry/zone.h"
#include "base/json.h"
#include "probes/runner.h"

namespace outrider {

/// A dropped registration is probed at least this often.
inline constexpr Duration kDroppedIntervalMax = std::chrono::seconds(30);

class Checks final : private probes::Runner::Sink {
 public:
  class Sink {
   public:
    /// A verdict, or new output of one that stays bad.
    virtual void on_check(const std::string& instance_id, const std::string& check_id,
                          registry::CheckHealth health, const std::string& output) = 0;
    /// Nobody listens where a probe went to; every time.
    virtual void on_refused(const std::string& instance_id, const std::string& check_id) = 0;

   protected:
    ~Sink() = default;
  };

  Checks(Env& env, Sink& sink);
  ~Checks();

  /// Starts, changes and ends probing for the registration that `after` is (null: it is gone).
  /// May call the sink before it returns: a check whose target is not allowed is critical at once.
  void apply(const registry::InstancePtr& before, const registry::InstancePtr& after);
  void end_all();
  bool renew(const std::string& instance_id, const std::string& check_id,
             registry::CheckHealth health, std::string output);
  /// Probes all of an instance now, and says which they are.
  std::vector<std::string> probe_now(const registry::Instance& instance);
  /// Addresses of this host came or went: a target may be ours now, or not any more.
  void look_at_host();

  const probes::Runner& runner() const { return runner_; }
  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  struct Held {
    registry::CheckSpec spec;
    registry::CheckTarget target;
    bool has_target = false;
    bool refused = false;  // not probed, because the target is not allowed
    std::string output;    // last one told
    bool dropped = false;  // the registration is
    Duration backoff{};    // zero unless dropped
  };
  void on_health(const std::string& check_id, probes::Health health,
                 const probes::Outcome& last) override;
  void on_outcome(const std::string& check_id, const probes::Outcome& outcome) override;
  void add(const registry::Instance& instance, const registry::CheckSpec& check);
  static bool same(const Held& held, const registry::CheckSpec& check,
                   const registry::Instance& instance);
  std::string refusal(const Held& held) const;
  void refuse(const std::string& id, const std::string& why);
  void follow(const std::string& id, Held& held, const registry::Instance& instance, bool anew);
  void tell_aliases(const std::string& instance_id, const registry::InstancePtr& now);
  void slow_down(const std::string& id, Held& held);

  Env& env_;
  Sink& sink_;
  probes::Runner runner_;
  std::map<std::string, Held> held_;              // by runner id
  std::map<std::string, probes::Health> health_;  // of instances, as aliases were told
  std::uint64_t outcomes_ = 0, failed_outcomes_ = 0;
};

registry::CheckHealth to_registry(probes::Health health);

}  // namespace outrider
