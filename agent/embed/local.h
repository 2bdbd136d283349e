// SPDX-License-Identifier: Apache-2.0
// The agent in this process: requests go to its API without a socket, and answers are handed over
// as they are.
#pragma once

#include <memory>
#include <string>

#include "agent/doors/api.h"
#include "agent/embed/call.h"

namespace outrider::embed {

class LocalTransport final : public Transport {
 public:
  /// Both outlive this and every token.
  LocalTransport(Env& env, doors::Api& api) : env_(env), api_(api) {}

  /// As far as it is known now, and in effect: nothing is waited for.
  Outcome ask_now(const Request& request);
  /// The callback comes once, perhaps before this returns, unless the token is destroyed before.
  using OnOutcome = Callback<void(Outcome)>;
  std::unique_ptr<Pending> ask(const Request& request, OnOutcome callback);
  Result<std::unique_ptr<Pending>, Failure> watch(const std::string& target, OnEvent on_event,
                                                  Duration most) override;

 private:
  Env& env_;
  doors::Api& api_;
};

}  // namespace outrider::embed
