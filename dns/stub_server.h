// SPDX-License-Identifier: Apache-2.0
// The stub server: from datagram (or TCP stream) to datagram. UDP and TCP on the same addresses.
//
//   base/net UdpSocket ▸ StubServer ▸ Query ▸ LocalZone (▸ hold) | HostNames | Forwarder ▸ Reply
//
// Our names are answered from their zone, special names (special_names.h) by what they mean,
// `*.local` for clients on this host through HostNames, and everything else by the Forwarder or,
// without one, with REFUSED. Clients beyond this host are refused (clients.h). A query that must
// wait (waiting.h: for an unknown name to appear, for a host on the LAN, for an upstream) is copied
// with the way back to its client; all others are answered in place, without allocation.
//
// RFC 1035 §4.2, RFC 7766 (TCP, pipelining), RFC 6891 (EDNS), RFC 8914 (extended errors), RFC 8482
// (ANY). Limits: limits.h. To add a kind of answer start in zone_answer.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/env.h"
#include "dns/limits.h"
#include "dns/local_zone.h"
#include "dns/stub_counters.h"

namespace outrider::dns {

class Forwarder;

struct StubOptions {
  std::vector<Endpoint> listen;
  /// Several agents of one user share the address (SO_REUSEPORT).
  bool share_address = true;
  /// How long a client's question for a `.local` host may wait for the LAN.
  Duration host_names_wait = std::chrono::milliseconds(1'500);
};

/// Hosts of the LAN for clients that ask for `box.local` by unicast: musl, Go, containers.
class HostNames {
 public:
  using Answer =
      Callback<void(const std::optional<std::vector<IpAddress>>& addresses, Duration ttl)>;
  virtual ~HostNames() = default;
  /// Calls `answer` once, not before it has returned, within `wait`; without addresses if no
  /// host answers, without a value if the LAN could not be asked. Destroying the token cancels.
  /// `host` is "box.local".
  virtual std::unique_ptr<Pending> lookup(const std::string& host, Duration wait,
                                          Answer answer) = 0;
};

class StubServer {
 public:
  class Sink {
   public:
    /// A listen address could not be bound (it is tried again every kBindRetry), or now is.
    virtual void on_bind(const Endpoint& address, Result<void, NetError> result) = 0;
    /// A name under one of our zones that does not exist is asked for. Return how long to hold the
    /// query for the name to appear (it is answered at once when it does); zero: NXDOMAIN now.
    virtual Duration on_unknown_name(const Name& name, const Name& zone) = 0;
    /// How long until the source of the zones is complete, as after a start: for that long, a query
    /// for a name that exists without records is held for them. Zero: it is complete.
    virtual Duration until_complete() const { return Duration::zero(); }
    /// Whether a name that does not exist may be on its way. The answer is then SERVFAIL: clients
    /// keep an NXDOMAIN.
    virtual bool may_come(const Name& /*name*/, const Name& /*zone*/) const { return false; }
    /// Names of the same zone that `name`, which does not exist, may be another spelling of. The
    /// first one that exists is answered.
    virtual std::vector<Name> other_spellings(const Name& /*name*/, const Name& /*zone*/) {
      return {};
    }
    /// A name that exists without records is asked for, and is answered so. A source may know more
    /// by the next query.
    virtual void on_empty_name(const Name& /*name*/, const Name& /*zone*/) {}

   protected:
    ~Sink() = default;
  };

  StubServer(Env& env, StubOptions options, Sink& sink);
  ~StubServer();

  /// Zones are added before start() and live as long as the server.
  LocalZone& add_zone(const ZoneOptions& options);
  /// Names below in-addr.arpa and ip6.arpa that we answer. Only owners that are set here are
  /// answered; all others are treated as names that are not ours.
  LocalZone& reverse();

  /// Networks whose clients are answered; all others but those of this host are refused, so that an
  /// agent on a public address answers no forged questions of strangers.
  void set_allowed(std::vector<Prefix> networks);
  /// Domains below `local` that unicast DNS owns: forwarded like any other name.
  void set_unicast_local(std::vector<Name> domains);

  /// Both optional, at any time, null to remove; they outlive the server or their removal.
  void set_host_names(HostNames* host_names);
  void set_forwarder(Forwarder* forwarder);

  /// The source of the zones is complete: held queries of which more is known are answered.
  void on_complete();

  void start();
  /// Closes the sockets at the end of this turn, so that queries reach the other processes that
  /// share the address. Open TCP connections stay. Held queries are answered with what is known.
  void pause();
  /// Binds again after pause().
  void resume();
  /// Stops listening. Open TCP connections are closed once their answers in flight are sent. Held
  /// queries are answered with what is known. `done` comes as that of TcpClients::finish.
  void stop(Callback<void()> done);

  /// The addresses that are bound now, with the ports that the system picked.
  std::vector<Endpoint> bound() const;
  const StubCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::dns
