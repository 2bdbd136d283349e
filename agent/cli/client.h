// SPDX-License-Identifier: Apache-2.0
// Talks to a running agent over its socket: one request, or a stream of events.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/http/parser.h"
#include "base/http/url.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace outrider::cli {

/// An agent's longest answer: all fields of some 16,000 instances.
inline constexpr std::size_t kAnswerBytesMax = 64U << 20;
/// How long an agent may take to answer a question before another agent of the host is asked.
inline constexpr Duration kOtherAgentAfter = std::chrono::seconds(2);
/// The longest event of a stream.
inline constexpr std::size_t kEventBytesMax = 64U << 20;

struct Answer {
  int status = 0;
  std::string body;
};

class AgentClient {
 public:
  /// `socket` is --socket; empty: $OUTRIDER_API_SOCKET, or the usual places of agents' sockets.
  explicit AgentClient(const std::string& socket);

  /// False if there is no socket to try.
  bool any_socket() const { return !sockets_.empty(); }
  /// The error is an exit code; the reason (no agent, or it does not answer) has been printed.
  Result<Answer, int> ask(const std::string& method, const std::string& target,
                          const std::string& body = {});
  /// Calls `on_event` with the name and data of each event (both empty for the comments that keep
  /// an idle stream alive) until it returns false, the agent ends the stream, or Ctrl-C. Returns an
  /// exit code.
  using OnEvent = std::function<bool(std::string_view event, std::string_view data)>;
  int stream(const std::string& target, const OnEvent& on_event);

 private:
  std::vector<std::string> sockets_;
};

/// The body of a 200 answer to GET, or an exit code after printing the reason. Only URLs with a
/// literal address, because there is no resolver here.
Result<std::string, int> get_url(const http::Url& url);

}  // namespace outrider::cli
