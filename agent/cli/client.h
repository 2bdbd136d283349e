// SPDX-License-Identifier: Apache-2.0
// Talks to a running agent over its socket: one request, or a stream of events.
#pragma once

#include <cstdint>
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
/// The same where it is the only one, or the last.
inline constexpr Duration kAgentAfter = std::chrono::seconds(30);
/// The longest event of a stream.
inline constexpr std::size_t kEventBytesMax = 64U << 20;

struct Answer {
  int status = 0;
  std::string body;
};

/// What keeps this user from an agent's socket or runtime directory, and what to do.
struct Denial {
  std::string what;
  std::string advice;
  std::string to_string() const { return what + "; " + advice; }
};

struct StreamOptions {
  Duration limit{};                // after this the stream ends with kFailed; zero: never
  int input = -1;                  // a descriptor to read from meanwhile; -1: none
  std::function<bool()> on_input;  // it is readable; false ends the stream with kDone
};

class AgentClient {
 public:
  /// Whether a reason goes to standard error, or only to complaint().
  enum class Complaints : std::uint8_t { printed, kept };
  /// `socket` is --socket; empty: $OUTRIDER_API_SOCKET, or the usual places of agents' sockets.
  explicit AgentClient(const std::string& socket, Complaints complaints = Complaints::printed);

  /// Why the last request got no answer.
  const std::string& complaint() const { return complaint_; }

  /// False if no agent seems to run: there is no socket to try, and no closed directory.
  bool any_agent() const { return !sockets_.empty() || !closed_.empty() || !wrong_.empty(); }
  /// Why the agents of this user are not used, a sentence; empty: they are.
  const std::string& passed_over() const { return passed_over_; }
  /// What keeps this user from an agent, after kNotPermitted.
  Denial denial() const;
  /// The error is an exit code; the reason (no agent, or it does not answer) has been printed.
  Result<Answer, int> ask(const std::string& method, const std::string& target,
                          const std::string& body = {});
  /// Calls `on_event` with the name and data of each event (both empty for the comments that keep
  /// an idle stream alive) until it returns false, the agent ends the stream, or Ctrl-C. Returns an
  /// exit code.
  using OnEvent = std::function<bool(std::string_view event, std::string_view data)>;
  int stream(const std::string& target, const OnEvent& on_event, const StreamOptions& options = {});

 private:
  /// After all sockets have failed: says why, and returns the exit code. `reason` is what went
  /// wrong last, other than a lack of permission.
  int complain_of_no_agent(const std::string& reason);
  int refuse(std::string why, int code);

  std::vector<std::string> sockets_;
  std::string wrong_;                // why the environment's socket cannot be used
  std::vector<std::string> closed_;  // sockets and runtime directories that this user may not use
  std::string passed_over_, complaint_;
  Complaints complaints_;
};

/// The body of a 200 answer to GET, or an exit code after printing the reason. Only URLs with a
/// literal address, because there is no resolver here.
Result<std::string, int> get_url(const http::Url& url);

}  // namespace outrider::cli
