// SPDX-License-Identifier: Apache-2.0
// Services by name for programs that only know URLs: http://NAME.localhost:5380/ reaches an
// instance of the service, on whatever host and port it is.
//
//   connection ▸ first head (HeadParser, client_hello.h) ▸ read_host ▸ page
//                                                                    ▸ Targets ▸ connect ▸ Relay
//                                                                    ▸ Refusal
//
// The head of the first request decides, is passed on as it came, and from then on the connection
// belongs to that service: nothing is rewritten, added or trusted. So WebSockets, server-sent
// events, uploads, pipelining and protocols that begin like HTTP work. Later requests on the same
// connection go to the same instance whatever Host they name: a client that keeps connections by
// origin, as browsers and libraries do, never sends one for another service.
//
// If an instance refuses the connection, the next one is tried. Once the head was sent, only what
// is safe to repeat is sent to another one (RFC 9110 §9.2.1, without a body), and only while no
// byte of an answer has come: the instance broke the connection, or became critical. What is not
// safe to repeat is answered with 502 if its instance breaks the connection.
//
// Files: host, refusal and client_hello are pure; targets chooses; connection.cc is the life of one
// connection. agent/web_listener.h opens the ports.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/bridge/targets.h"
#include "agent/doors/metrics.h"
#include "agent/registry/registry.h"
#include "base/env.h"
#include "base/relay.h"

namespace outrider::bridge {

/// Connections of all clients together, and of one that is not on this host. Each takes two of the
/// 8,192 descriptors that an agent asks for; the rest is for everything else.
inline constexpr std::size_t kConnectionsMax = 3'072;
inline constexpr std::size_t kConnectionsPerClient = 64;
/// Connections beyond these that get an answer before they are closed; further ones are closed.
inline constexpr std::size_t kRefusedMax = 256;
/// From the first byte of a connection to the end of the first head. When kConnectionsMax is
/// reached, the oldest connection without a head makes room for a new one.
inline constexpr Duration kHeadTime = std::chrono::seconds(10);
/// For one connection attempt: while another instance is left to try, and for the last one.
inline constexpr Duration kConnectTime = std::chrono::seconds(2);
inline constexpr Duration kLastConnectTime = std::chrono::seconds(10);
/// Instances that one connection tries.
inline constexpr std::size_t kAttemptsMax = 8;
/// What a client may send after the head before an answer begins, so that it gets 502 if none will
/// come. With more, it is an upload: it is relayed, and sees the break itself.
inline constexpr std::size_t kWaitingBytesMax = 64U << 10;
/// A connection without a byte either way for this long is closed, at the next look.
inline constexpr Duration kIdleTime = std::chrono::hours(1);
inline constexpr Duration kIdleLook = std::chrono::minutes(1);
/// How long a client that was refused has to read why (RFC 9112 §9.6).
inline constexpr Duration kLinger = std::chrono::seconds(2);
/// A connection to another host whose peer is silent is asked for a sign of life after this; what
/// it does not acknowledge within this breaks the connection.
inline constexpr Duration kKeepAlive = std::chrono::seconds(60);
inline constexpr Duration kUnacknowledged = std::chrono::seconds(30);

enum class Entrance : std::uint8_t { http, tls };

struct Counters {
  std::uint64_t accepted = 0;
  std::uint64_t bridged = 0;               // an instance was connected
  std::uint64_t pages = 0;                 // handed to the status page
  std::uint64_t repeated = 0;              // attempts after the first one
  std::uint64_t bytes = 0;                 // before relays, and of those that have ended
  std::array<std::uint64_t, 6> refused{};  // by the first digit of the status
  std::uint64_t idle = 0;
};

struct Options {
  registry::Strategy strategy = registry::Strategy::round_robin;
  registry::Locality locality = registry::Locality::prefer;
  std::size_t connections_max = kConnectionsMax;
  /// Where TLS is passed on; 0: nowhere.
  std::uint16_t tls_port = 0;
  /// Tells the network that a service is wanted, and how long an answer may take; optional.
  std::function<Duration(const std::string& label)> ask_for = {};
};

class Connection;

class Bridge {
 public:
  /// Gets a connection whose first head named the status page, and what was read of it.
  using Page = std::function<void(std::unique_ptr<Stream>, Bytes)>;

  /// `control` outlives it.
  Bridge(Env& env, doors::Control& control, std::unique_ptr<Relays> relays, Options options);
  ~Bridge();
  Bridge(const Bridge&) = delete;

  void accept(std::unique_ptr<Stream> client, Entrance entrance);
  void set_page(Page page) { page_ = std::move(page); }
  void set_own(std::vector<Endpoint> own) { targets_.set_own(std::move(own)); }
  /// At the end of Agent::apply.
  void on_changes(const registry::Changes& changes);

  std::size_t connection_count() const { return fresh_.size() + connections_.size(); }
  const Counters& counters() const { return counters_; }
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  friend class Connection;
  using Connections = std::list<std::unique_ptr<Connection>>;

  void drop(Connection& connection);
  /// Its head has come, or it was refused.
  void on_head(Connection& connection);
  /// Drops the connection and hands its stream on.
  void give_to_page(Connection& connection);
  const std::vector<std::string>& domains();
  bool is_beyond_share(const IpAddress& client) const;
  void look_for_idle();
  std::uint64_t bytes() const;

  Env& env_;
  doors::Control& control_;
  std::unique_ptr<Relays> relays_;
  Options options_;
  Page page_;
  Targets targets_;
  std::vector<std::string> domains_;
  std::unordered_map<IpAddress, std::size_t, AddressHash> clients_;  // not of this host
  Connections fresh_;        // whose head has not come, the oldest first
  Connections connections_;  // all others
  Counters counters_;
  Timer idle_timer_;
};

}  // namespace outrider::bridge
