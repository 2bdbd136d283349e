// SPDX-License-Identifier: Apache-2.0
// The stub server: from datagram (or TCP stream) to datagram. UDP and TCP on the same addresses.
//
//   base/net UdpSocket ▸ StubServer ▸ MessageView ▸ LocalZone (▸ hold ▸ Forwarder) ▸ reply
//
// RFC 1035 §4.2, RFC 7766 (TCP, pipelining), RFC 6891 (EDNS), RFC 8914 (extended errors).
// To add a kind of answer start in answer.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/env.h"
#include "dns/local_zone.h"

namespace outrider::dns {

/// Answers over UDP are never larger, whatever the client allows (DNS flag day 2020).
inline constexpr std::size_t kUdpAnswerBytesMax = 1'232;
inline constexpr std::size_t kTcpClientsMax = 256;
inline constexpr std::size_t kTcpQueriesInFlightMax = 64;  // per connection
inline constexpr Duration kTcpIdleMax = std::chrono::seconds(10);
inline constexpr Duration kBindRetry = std::chrono::seconds(5);

struct StubCounters {
  std::uint64_t queries_udp = 0, queries_tcp = 0, answers = 0, nodata = 0, nxdomain = 0,
                refused = 0, formerr = 0, notimp = 0, badvers = 0, servfail = 0, truncated = 0,
                dropped = 0;  // dropped: not even a header, or a response
};

struct StubOptions {
  std::vector<Endpoint> listen;
  /// Several agents of one user share the address (SO_REUSEPORT).
  bool share_address = true;
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

   protected:
    ~Sink() = default;
  };

  StubServer(Env& env, StubOptions options, Sink& sink);
  ~StubServer();

  /// Zones are added before start() and live as long as the server.
  LocalZone& add_zone(const ZoneOptions& options);

  void start();
  /// Stops listening; open TCP connections get what is in flight and are closed.
  void stop();

  const StubCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::dns
