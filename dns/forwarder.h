// SPDX-License-Identifier: Apache-2.0
// Who answers what is not ours: the promise between the stub server and the resolver.
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

  /// Writes the reply into `buffer` and returns its size if nobody else is needed for it: it is
  /// known, or there is nobody to ask. Else zero.
  virtual std::size_t answer_now(const Query& query, std::size_t limit, MutableBytes buffer) = 0;
  /// Calls `answer` once, not before it has returned. `query` lives only during the call.
  /// Destroying the token cancels.
  virtual std::unique_ptr<Pending> forward(const Query& query, std::size_t limit,
                                           Answer answer) = 0;
};

}  // namespace outrider::dns
