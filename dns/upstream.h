// SPDX-License-Identifier: Apache-2.0
// One message to one server and the answer to it: the promise of the way upstream. upstream_ares
// keeps it with c-ares; tests keep it with scripts.
#pragma once

#include <memory>

#include "base/address.h"
#include "base/bytes.h"
#include "base/callback.h"
#include "base/net.h"
#include "base/result.h"
#include "base/time.h"

namespace outrider::dns {

enum class UpstreamError : std::uint8_t {
  timed_out,
  unreachable,  // refused, no route, no socket
  broken,       // what came was not a DNS message
};
const char* to_string(UpstreamError error);

class Upstream {
 public:
  using Answer = Callback<void(Result<Bytes, UpstreamError>)>;
  virtual ~Upstream() = default;

  /// Sends the message as it is, from a port of its own, by UDP and, when the answer is truncated,
  /// again by TCP. Calls `answer` once, within `timeout`, not before this call has returned, with a
  /// message of the same id and question from that server: the truncated one if TCP brings none
  /// within kTcpTimeout. Destroying the token cancels.
  virtual std::unique_ptr<Pending> send(const Endpoint& server, Bytes message, Duration timeout,
                                        Answer answer) = 0;
};

}  // namespace outrider::dns
