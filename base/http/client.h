// SPDX-License-Identifier: Apache-2.0
// One HTTP/1.1 request on its own connection: for manifests and schemas, for pushes to a gateway,
// and for the command line over the agent's socket. Health probes have their own client, which
// measures each step.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/env.h"
#include "base/http/parser.h"
#include "base/reach.h"

namespace outrider::http {

struct ClientRequest {
  StreamAddress to;
  Reach reach = Reach::this_host;  // a target beyond it is an error, and nothing is sent
  std::string host;                // Host header; empty: from `to`
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  Duration timeout = std::chrono::seconds(10);        // for everything together
  std::size_t body_bytes_max = std::size_t{1} << 20;  // a longer body is an error
};

struct ClientError {
  enum class Kind : std::uint8_t { network, protocol, timeout, body_too_long, forbidden };
  Kind kind = Kind::network;
  NetError network = NetError::failed;  // when kind is network
  std::string text;                     // for people: "10.0.0.1:8080: connection refused"
};

using ResponseCallback = Callback<void(Result<Response, ClientError>)>;

/// The callback comes exactly once, not before fetch returns and not later than the timeout.
/// Destroying the token cancels. Redirects are not followed: a 302 is a response like any other.
[[nodiscard]] std::unique_ptr<Pending> fetch(Env& env, ClientRequest request,
                                             ResponseCallback callback);

}  // namespace outrider::http
