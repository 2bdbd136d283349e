// SPDX-License-Identifier: Apache-2.0
// Decides whether queries for names outside the agent's zones are forwarded, and to which servers.
// Follows the configuration and the host's resolv.conf.
//
// `auto` forwards only when resolv.conf lists the agent alone. When it lists another name server, a
// client that gets REFUSED from the agent asks that server. `system` means the host's name servers:
// the other servers in resolv.conf, or those that systemd-resolved learned from the network, or
// those that were in resolv.conf before `outrider dns install`.
//
// resolv.conf also decides who owns `corp.local`: a domain below `local` that it searches belongs
// to unicast DNS, whether the agent forwards or not.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/metrics.h"
#include "base/env.h"
#include "base/json.h"
#include "dns/resolv_conf.h"
#include "dns/resolver.h"

namespace outrider {

/// What only the real machine can give; without `make_upstream` nothing is forwarded.
struct ForwardParts {
  std::function<std::unique_ptr<dns::Upstream>(Env&)> make_upstream;
  /// /etc/resolv.conf, and the servers behind a local stub; empty where there are none.
  std::function<dns::ResolvConf()> resolv_conf;
  std::function<dns::ResolvConf()> uplink_conf;
  /// Calls the function after each change of either file, while the tokens live.
  std::function<std::vector<std::unique_ptr<Pending>>(std::function<void()>)> watch;
};

class Forwarding final {
 public:
  /// Called with the forwarder to use, or null, whenever that changes. From start() on.
  using Choose = std::function<void(dns::Forwarder*)>;
  /// Called with the domains below `local` that unicast DNS owns, whenever they change.
  using ChooseLocal = std::function<void(const std::vector<dns::Name>&)>;
  Forwarding(Env& env, const DnsConfig& config, ForwardParts parts, Choose choose,
             ChooseLocal choose_local);
  ~Forwarding();

  void start();
  /// The configuration has changed. Cached answers and waiting queries stay.
  void reload();

  bool on() const { return on_; }
  /// The upstream servers; empty while forwarding is off.
  const std::vector<Endpoint>& upstreams() const;
  const dns::ForwardCounters& counters() const;
  /// Members of an open object. `forwarded`: queries that were answered this way.
  void write_status(json::Writer& out, std::uint64_t forwarded) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  dns::ForwardOptions options() const;
  void refresh();
  bool is_own(const Endpoint& server) const;
  std::vector<Endpoint> wanted_upstreams(const dns::ResolvConf& conf) const;
  std::optional<Endpoint> parse_server(const std::string& text) const;
  void set_unicast_local(const dns::ResolvConf& conf);

  Env& env_;
  const DnsConfig& config_;
  ForwardParts parts_;
  Choose choose_;
  ChooseLocal choose_local_;
  std::unique_ptr<dns::Upstream> upstream_;
  std::unique_ptr<dns::Resolver> resolver_;
  std::vector<std::unique_ptr<Pending>> watches_;
  std::unique_ptr<Pending> interface_watch_;  // if a server names its interface
  std::vector<dns::Name> unicast_local_;
  std::vector<Endpoint> given_;           // to the resolver, which leaves our own addresses out
  dns::ResolvConf conf_;                  // as of the last refresh()
  std::vector<Endpoint> system_servers_;  // of resolv.conf
  bool on_ = false;
};

}  // namespace outrider
