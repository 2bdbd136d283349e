// SPDX-License-Identifier: Apache-2.0
// Copies instances of services that the configuration names ("export") from one source to another:
// the link, etcd and Consul.
//
//   Agent::apply ▸ apply ▸ Announcer (mDNS), Engines (etcd, Consul)
//   EtcdEngine, ConsulEngine ▸ Engines ▸ on_claim ▸ the same
//
// Agents elect one of them for each rule and service, by a claim ("export/etcd/mdns/hello") in etcd
// if the rule has it on either side, else in Consul. Its end withdraws what was copied: at most one
// agent writes an instance. Where there is no election, no agent copies.
//
// What is copied has a mark (kViaMark), and what has a mark is never copied, by any agent: so no
// instance comes back to where it is from, whatever rules other agents have. Nor is an instance
// that is at the target by itself, nor a registration of this agent, which its own engines write.
// An instance that comes to two sources at once needs some time to be seen in both: copying waits
// for kCopyDelay.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/control.h"
#include "agent/engines.h"
#include "agent/lan/announcer.h"
#include "base/env.h"

namespace outrider {

/// Instances that one agent copies: the rest of what a link takes is for its registrations.
inline constexpr std::size_t kCopiesMax = 256;
/// For this long an instance must have been without a place at the target.
inline constexpr Duration kCopyDelay = std::chrono::seconds(3);

class Exports final {
 public:
  /// All outlive it.
  Exports(Env& env, const registry::Registry& registry, Engines& engines, Announcer& announcer);

  /// What is copied under a rule that stays goes on.
  void set_rules(const std::vector<ExportRule>& rules);
  /// After the registry has made these changes.
  void apply(const registry::Changes& changes);
  /// Withdraws everything, from engines first, then lets other agents take over.
  void stop();

  /// Of one instance, for people.
  std::vector<doors::CopyView> of(const registry::Instance& instance) const;
  /// "exports" of an open object.
  void write(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  /// One service of one rule.
  struct Election {
    registry::Source from, to;
    std::string group;
    registry::ServiceName service;
    bool held = false;
    std::string reason;  // why it is not held
  };
  using Elections = std::map<std::string, Election>;  // by the name of the claim
  struct Key {
    registry::Source to = registry::Source::own;
    std::string service, id;  // labels
    auto operator<=>(const Key&) const = default;
    std::string text() const { return service + '/' + id; }
  };

  void on_claim(const std::string& name, bool held, const std::string& reason);
  void update_service(const std::string& label);
  void update_services();
  void update(const Key& key, const registry::InstancePtr& instance);
  void put(const Key& key, const std::string& claim, const registry::InstancePtr& instance);
  void withdraw(const Key& key);
  void wake_at(TimePoint due);
  static std::uint64_t count(const std::string& claim, const std::map<Key, std::string>& of);

  Env& env_;
  const registry::Registry& registry_;
  Engines& engines_;
  Announcer& announcer_;
  Elections elections_;
  std::map<std::string, std::vector<std::string>, std::less<>> by_service_;  // label ▸ claims
  std::map<Key, TimePoint> candidates_;  // could be copied ▸ since when
  std::map<Key, std::string> copies_;    // ▸ claim
  std::map<Key, std::string> left_out_;  // beyond kCopiesMax ▸ claim
  Timer timer_;
};

}  // namespace outrider
