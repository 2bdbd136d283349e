// SPDX-License-Identifier: Apache-2.0
// The command line's way to a running agent: one request over its socket, or a stream of events.
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

namespace outrider::cli {

/// An agent's longest answer: sixteen thousand instances with all they have to tell.
inline constexpr std::size_t kAnswerBytesMax = 64U << 20;
/// One event of a stream.
inline constexpr std::size_t kEventBytesMax = 64U << 20;

struct Answer {
  int status = 0;
  std::string body;
};

class AgentClient {
 public:
  /// `socket` is --socket; empty: $OUTRIDER_API_SOCKET, else where agents put theirs.
  explicit AgentClient(const std::string& socket);

  /// False: there is none to be asked.
  bool any_socket() const { return !sockets_.empty(); }
  /// Exit code of a failure that has been told on stderr: no agent, or it does not answer.
  Result<Answer, int> ask(const std::string& method, const std::string& target,
                          const std::string& body = {});
  /// Calls with each event's name and data (both empty for a comment, as comes while nothing
  /// changes) until the callback says false, the agent ends the stream, or Ctrl-C. Answers with an
  /// exit code.
  using OnEvent = std::function<bool(std::string_view event, std::string_view data)>;
  int stream(const std::string& target, const OnEvent& on_event);

 private:
  std::vector<std::string> sockets_;
};

/// The body of a 200 answer to GET, at most kManifestBytesMax; else an exit code, told on stderr.
/// Only URLs with a literal address: a name would be looked up by whom?
Result<std::string, int> get_url(const http::Url& url);

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
std::string encode(std::string_view text);

}  // namespace outrider::cli
