// SPDX-License-Identifier: Apache-2.0
// Which instance a connection goes to: those that DNS answers for the name, in the order of the
// configured strategy, without those that this connection has tried. Instances that have just
// refused a connection come last, until they have had time to be found unhealthy.
//
// Anyone on the network can announce any name, and a browser sends its cookies for NAME.localhost
// to whatever the name leads to. So instances of this host come first (Locality::prefer), and a
// name that is registered here can be kept from leading elsewhere while its program restarts
// (Locality::strict): it then means what `local.NAME` means in DNS. For the same reason an instance
// that was heard of over mDNS is not followed off its link (is_on_link).
//
// What a name leads to is kept until something changes: a service with thousands of instances would
// otherwise be sorted for each connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/doors/findings.h"
#include "agent/registry/selection.h"
#include "base/env.h"

namespace outrider::bridge {

/// Names that are kept; beyond it all are found again.
inline constexpr std::size_t kNamesKeptMax = 256;
/// How long without a change they are kept: the addresses of this host are no change.
inline constexpr Duration kNamesKept = std::chrono::seconds(1);
/// How long an endpoint that failed comes behind the others, and how many are remembered.
inline constexpr Duration kShunned = std::chrono::seconds(5);
inline constexpr std::size_t kShunnedMax = 256;

struct Target {
  std::string instance;
  Endpoint endpoint;
  bool last = false;  // no other one is left to try
};

class Targets {
 public:
  Targets(Env& env, doors::Control& control, registry::Strategy strategy,
          registry::Locality locality);

  /// Where the listeners of the bridge are: connecting there would be a loop.
  void set_own(std::vector<Endpoint> own) { own_ = std::move(own); }
  /// What a name that the bridge was asked for means. Addresses and names of hosts are no services:
  /// nothing is found.
  doors::Findings look_for(const std::string& name) const;
  /// Whether look_for(name) left out instances of other hosts.
  bool is_kept_here(const std::string& name, const doors::Findings& found) const;
  /// Something has changed.
  void forget() { kept_.clear(); }

  /// Nothing: no instance is left that `tried` does not hold. `client` is what consistent_hash
  /// hashes.
  std::optional<Target> next(const std::string& name, std::span<const Endpoint> tried,
                             const IpAddress& client);
  /// Whether next() would find one.
  bool has_next(const std::string& name, std::span<const Endpoint> tried);
  /// Every instance that DNS answers for the name is the bridge itself.
  bool is_loop(const std::string& name);
  /// Every instance that DNS answers for the name was announced off its link.
  bool is_off_link(const std::string& name);

  /// Of every instance that DNS answers for the name, and there is one.
  bool speaks_https(const std::string& name);

  /// A connection to it failed.
  void shun(const Endpoint& endpoint);
  // Connections through the bridge, which strategies weigh.
  void count(const Endpoint& endpoint) { ++load_[endpoint].connections; }
  void uncount(const Endpoint& endpoint);

 private:
  struct Instance {
    std::string id;
    std::vector<Endpoint> endpoints;  // without our own; empty: only those
    std::uint32_t weight = 0;
    bool warning = false;
    bool on_this_host = false;
    bool speaks_https = false;
  };
  using Instances = std::vector<Instance>;
  struct Kept {
    Instances instances;
    bool off_link = false;  // some were left out
    TimePoint until;
  };
  const Kept& find(const std::string& name);
  struct Left {
    std::vector<registry::Candidate> best;
    std::size_t endpoints = 0;  // of all of them
  };
  Left left_of(const std::string& name, std::span<const Endpoint> tried);
  unsigned rank_of(const Instance& instance, const Endpoint& to) const;
  bool is_own(const Endpoint& endpoint, const registry::HostView& host) const;
  bool is_shunned(const Endpoint& endpoint) const;

  Env& env_;
  doors::Control& control_;
  registry::Strategy strategy_;
  registry::Locality locality_;
  registry::Selector selector_;
  std::vector<Endpoint> own_;
  std::map<std::string, Kept> kept_;
  std::unordered_map<Endpoint, TimePoint, AddressHash> shunned_;  // until when
  registry::Load load_;
};

}  // namespace outrider::bridge
