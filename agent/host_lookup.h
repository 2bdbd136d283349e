// SPDX-License-Identifier: Apache-2.0
// Addresses of host names for the agent's own clients, such as an engine whose server has a name:
// from the hosts file, else from the host's name servers, of which the agent itself is none. A
// question that came back to its own stub would wait for the very engine that asks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/name_lookup.h"
#include "dns/resolv_conf.h"
#include "dns/upstream.h"

namespace outrider {

/// For one name server, before the next one is asked: callers wait a second in all.
inline constexpr Duration kHostLookupPatience = std::chrono::milliseconds(400);
/// Of one name; more are of no use to a client that tries them in turn.
inline constexpr std::size_t kHostAddressesMax = 16;

struct HostLookupParts {
  std::function<std::string()> hosts;  // the text of /etc/hosts
  /// /etc/resolv.conf, and the servers behind a local stub.
  std::function<dns::ResolvConf()> resolv_conf, uplink_conf;
  std::function<std::unique_ptr<dns::Upstream>(Env&)> make_upstream;
  std::vector<Endpoint> own;  // where this agent answers DNS: never asked
};

/// The first line that has the name, and all others that do, as in hosts(5).
std::vector<IpAddress> addresses_in_hosts(std::string_view hosts, std::string_view name);

class HostLookup final : public NameLookup {
 public:
  HostLookup(Env& env, HostLookupParts parts);
  ~HostLookup() override;

  std::unique_ptr<Pending> look_up(std::string_view host, Callback<void(Found)> callback) override;

 private:
  class Question;
  std::vector<Endpoint> servers(const dns::ResolvConf& conf) const;

  Env& env_;
  const HostLookupParts parts_;
  std::unique_ptr<dns::Upstream> upstream_;  // from the first question on
};

}  // namespace outrider
