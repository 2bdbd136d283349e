// SPDX-License-Identifier: Apache-2.0
// Asks the cluster what is left of leases, for people: one lease after another, within a bound.
// Questions that come in the meantime join, so that a crowd of them costs the cluster no more.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "registries/engine.h"
#include "registries/etcd/client.h"

namespace outrider::registries::etcd {

/// Leases of one round, for all callers together.
inline constexpr std::size_t kLeasesPerRound = 16;

class LeaseLookup {
 public:
  /// Both outlive it.
  LeaseLookup(Env& env, Client& client) : env_(env), client_(client) {}
  ~LeaseLookup();

  /// As Engine::look_up_leases.
  [[nodiscard]] std::unique_ptr<Pending> ask(std::span<const std::int64_t> leases,
                                             Engine::LeasesReply reply);
  /// Replies with what is known.
  void finish();

 private:
  struct Question {
    Engine::LeasesReply reply;  // null: its token was destroyed
  };
  struct Token;

  void ask_next();
  bool is_wanted() const;

  Env& env_;
  Client& client_;
  std::vector<std::shared_ptr<Question>> questions_;
  std::vector<std::int64_t> leases_;  // of this round
  std::size_t next_ = 0;              // of these, to be asked
  LeaseTimes found_;
  Timer end_;
  std::unique_ptr<Pending> call_;
};

}  // namespace outrider::registries::etcd
