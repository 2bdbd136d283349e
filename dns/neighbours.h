// SPDX-License-Identifier: Apache-2.0
// Who answers on a DNS address that this agent cannot bind. Agents of one user share an address;
// the agent of another user, such as the host's, keeps it to itself, which is no error: it answers
// for the whole host.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/callback.h"
#include "base/env.h"
#include "dns/wire/name.h"

namespace outrider::dns {

/// How long an agent may take to answer.
inline constexpr Duration kNeighbourPatience = std::chrono::seconds(1);

class Neighbours {
 public:
  using Answer = Callback<void(bool is_agent)>;

  /// `domain` is one of ours; an agent answers for the same one by default.
  Neighbours(Env& env, const Name& domain);
  ~Neighbours();

  /// Asks on the address for ns.DOMAIN. The callback comes once, unless forget() or ask() comes
  /// first.
  void ask(const Endpoint& address, Answer answer);
  /// We answer there ourselves.
  void forget(const Endpoint& address);
  /// Addresses on which other users' agents answer.
  const std::set<Endpoint>& shared() const { return shared_; }

 private:
  class Question;
  void finish(const Endpoint& address, bool is_agent);

  Env& env_;
  std::optional<Name> name_;  // nothing if the domain has no room for it: no agent answers
  std::map<Endpoint, std::unique_ptr<Question>> questions_;
  std::set<Endpoint> shared_;
};

}  // namespace outrider::dns
