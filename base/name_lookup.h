// SPDX-License-Identifier: Apache-2.0
// The addresses of host names, for the agent's own clients. The agent keeps this promise by its
// upstream servers and the hosts file, never by its own DNS stub: that one may be what waits for
// the client.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/net.h"

namespace outrider {

class NameLookup {
 public:
  /// At least one address; or why there is none, for people.
  using Found = Result<std::vector<IpAddress>, std::string>;

  virtual ~NameLookup() = default;
  /// The callback comes once, not before this returns; destroying the token cancels. The caller
  /// has a deadline of its own.
  [[nodiscard]] virtual std::unique_ptr<Pending> look_up(std::string_view host,
                                                         Callback<void(Found)> callback) = 0;
};

}  // namespace outrider
