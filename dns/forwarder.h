// SPDX-License-Identifier: Apache-2.0
// Answers queries for names that are not ours: the promise between stub server and resolver.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/callback.h"
#include "base/net.h"
#include "dns/query.h"

namespace outrider::dns {

class Forwarder {
 public:
  /// A whole message for the client: its id, its question, within its size. The bytes are valid
  /// during the call.
  using Answer = Callback<void(Bytes message)>;

  virtual ~Forwarder() = default;

  /// Writes the reply into `buffer` and returns its size if no server has to be asked: the answer
  /// is known, or there is no server to ask. Otherwise returns zero.
  virtual std::size_t answer_now(const Query& query, std::size_t limit, MutableBytes buffer) = 0;
  /// Calls `answer` once, not before it has returned. `query` lives only during the call.
  /// Destroying the token cancels.
  virtual std::unique_ptr<Pending> forward(const Query& query, std::size_t limit,
                                           Answer answer) = 0;
};

}  // namespace outrider::dns
