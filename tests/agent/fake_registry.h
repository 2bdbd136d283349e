// SPDX-License-Identifier: Apache-2.0
// A registry beyond the link that several simulated agents share, with the faults of real ones: it
// cannot be reached, lists nothing although it has entries, falls silent, or loses its data.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/engines.h"
#include "tests/sim/world.h"

namespace outrider::test {

class FakeRegistry {
 public:
  /// A dead writer's entries leave after this time.
  static constexpr Duration kTtl = std::chrono::seconds(15);

  FakeRegistry(sim::World& world, std::string name) : world_(world), name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  std::unique_ptr<registries::Engine> make(Env& env, const std::string& writer);

  Duration lease_left = kTtl;  // of every lease
  /// What a program writes that is no agent.
  void write(const registries::Entry& entry) { store(entry); }
  void erase(const std::string& key);
  void set_reachable(bool reachable);
  /// Another program holds what `id` is to be written under; empty: no longer.
  void dispute(const std::string& id, const std::string& holder);
  /// Lists are empty, as for a client that lost its rights.
  void set_lying(bool lying);
  /// Loses everything. Agents write theirs again; programs have to be made to.
  void wipe();
  const std::map<std::string, registries::Entry>& entries() const { return entries_; }
  std::size_t engines() const { return engines_.size(); }
  /// The writer that holds a claim; empty: none.
  std::string holder(const std::string& claim) const {
    const auto found = holders_.find(claim);
    return found == holders_.end() ? std::string() : found->second;
  }

 private:
  class FakeEngine;
  void store(const registries::Entry& entry);
  void expire(const std::string& writer);
  void settle_claims();
  void release(const std::string& writer);

  sim::World& world_;
  std::string name_;
  std::map<std::string, registries::Entry> entries_;
  std::set<FakeEngine*> engines_;
  std::map<std::string, Timer> leases_;         // by writers that died
  std::map<std::string, std::string> holders_;  // of claims
  bool reachable_ = true, lying_ = false;
};

}  // namespace outrider::test
