// SPDX-License-Identifier: Apache-2.0
// An agent that runs beside the program: requests over its Unix socket.
#pragma once

#include <memory>
#include <string>

#include "agent/embed/call.h"
#include "agent/process/runtime_dir.h"
#include "base/env.h"

namespace outrider::embed {

/// After the stream or the connection was lost; the last one is repeated.
inline constexpr Duration kReconnect[] = {std::chrono::milliseconds(20),
                                          std::chrono::milliseconds(100),
                                          std::chrono::milliseconds(500), std::chrono::seconds(2)};
/// After the stream was opened again: an agent that has just started does not know its neighbours
/// yet.
inline constexpr Duration kSettleTime = std::chrono::seconds(3);
/// An agent's longest answer: all fields of some 16,000 instances.
inline constexpr std::size_t kAnswerBytesMax = 64U << 20;

/// One request, on a loop of its own: the calling thread waits for the answer.
Outcome ask_agent(const std::string& socket, const Request& request, Duration timeout);

/// The first socket on which an agent answers, each within `timeout`; the last one, after
/// which there is no other, within `last`.
Result<std::string, Failure> find_agent(const FoundSockets& found, Duration timeout, Duration last);

class RemoteTransport final : public Transport {
 public:
  RemoteTransport(Env& env, std::string socket) : env_(env), socket_(std::move(socket)) {}

  /// A request that the agent refuses is one that it refuses now. Later the stream is opened again
  /// whenever it was lost.
  Result<std::unique_ptr<Pending>, Failure> watch(const std::string& target, OnEvent on_event,
                                                  Duration most) override;

 private:
  Env& env_;
  std::string socket_;
};

}  // namespace outrider::embed
