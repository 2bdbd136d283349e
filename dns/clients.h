// SPDX-License-Identifier: Apache-2.0
// Which clients are answered: those of this host, and those of configured networks. Any other
// host that reaches a listen address could use the agent to flood a third party with answers that
// are larger than its forged questions.
#pragma once

#include <optional>
#include <vector>

#include "base/env.h"
#include "dns/limits.h"

namespace outrider::dns {

class Clients {
 public:
  explicit Clients(Env& env) : env_(env) {}

  void set_allowed(std::vector<Prefix> networks) { allowed_ = std::move(networks); }
  /// False: the client is to be refused. Logged, but at most once in kRefusedClientsLog.
  bool admit(const IpAddress& client);

 private:
  bool is_of_this_host(const IpAddress& address);

  Env& env_;
  std::vector<Prefix> allowed_;
  /// The addresses of this host, from the first question on that did not come over loopback.
  std::optional<std::vector<IpAddress>> own_;
  std::unique_ptr<Pending> watch_;  // of the interfaces
  TimePoint silent_until_{};
};

}  // namespace outrider::dns
