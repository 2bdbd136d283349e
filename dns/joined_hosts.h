// SPDX-License-Identifier: Apache-2.0
// Look-ups of one host joined to one: A and AAAA of a client, and several clients that ask at the
// same time, cost the LAN one question and its provider one of the few places that it has.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dns/stub_server.h"

namespace outrider::dns {

class JoinedHosts final : public HostNames {
 public:
  /// `hosts` outlives this, and this its tokens.
  explicit JoinedHosts(HostNames& hosts) : hosts_(hosts) {}
  /// Who joins waits as long as the first has still to wait.
  std::unique_ptr<Pending> lookup(const std::string& host, Duration wait, Answer answer) override;

 private:
  struct Waiter;
  struct Lookup {
    std::vector<Waiter*> waiters;
    std::unique_ptr<Pending> token;
  };
  void leave(const std::string& host, const Waiter& waiter);

  HostNames& hosts_;
  std::map<std::string, Lookup> lookups_;  // by host, as it is asked for
};

}  // namespace outrider::dns
