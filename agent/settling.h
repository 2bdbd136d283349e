// SPDX-License-Identifier: Apache-2.0
// Whether what the agent has heard of the network is complete enough to say of a name that it does
// not exist. After a start it is not: the other agents of this host, the link and the registries
// have yet to be heard. Clients keep a negative answer, and take an incomplete list for the
// departure of what is missing; so DNS, the bridge and the lists of the doors wait for this.
//
// Settled means: the first browse round is over, and every place of the engines was listed or is
// out of reach; or kSettlePatience is used up. An agent that has settled stays so.
#pragma once

#include "agent/engines.h"
#include "agent/lan/lan.h"
#include "base/env.h"

namespace outrider {

/// A source that is slower counts as heard.
inline constexpr Duration kSettlePatience = std::chrono::seconds(5);
/// How long a client waits at most for what may be unknown only because the agent has not settled.
inline constexpr Duration kSettleHold = std::chrono::seconds(1);
inline constexpr Duration kSettleInterval = std::chrono::milliseconds(10);

class Settling {
 public:
  /// Both outlive it.
  Settling(Env& env, const Lan& lan, const Engines& engines);

  /// After the sources have started. `settled` comes once, perhaps before this returns.
  void start(Callback<void()> settled);
  /// `settled` does not come any more.
  void stop() { timer_.reset(); }
  bool is_settled() const { return settled_; }
  /// How long a question for what is unknown should wait; zero: the agent has settled.
  Duration hold() const { return settled_ ? Duration::zero() : kSettleHold; }

 private:
  void look();

  Env& env_;
  const Lan& lan_;
  const Engines& engines_;
  bool settled_ = false;
  TimePoint patient_until_;
  Timer timer_;
  Callback<void()> callback_;
};

}  // namespace outrider
