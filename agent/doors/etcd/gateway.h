// SPDX-License-Identifier: Apache-2.0
// The door over HTTP/1.1, as etcd's JSON gateway has it: POST /v3/kv/range and its kin, streams of
// {"result":…} lines for watches, /health and /version.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "agent/doors/etcd/long_ranges.h"
#include "agent/doors/etcd/rpc.h"
#include "base/env.h"
#include "base/http/server.h"

namespace outrider::doors::etcd {

/// Octets of a watch that its client has not read: beyond them it is served later.
inline constexpr std::size_t kWatchUnreadMax = 256U << 10;
/// Messages in one body of a watch or of keepalives.
inline constexpr std::size_t kMessagesMax = 512;

struct GatewayCounters {
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;  // answered with an error
};

class Gateway final : public http::Handler {
 public:
  /// All outlive it, and it outlives the server. `clients`: those of the server.
  Gateway(Env& env, http::Clients& clients, Door& door);
  ~Gateway();
  Gateway(const Gateway&) = delete;

  void on_request(const http::ServerRequest& request, http::Exchange exchange) override;
  /// What a server of this face needs: its limit, and etcd's form of errors.
  static void prepare(http::ServerOptions& options);
  std::size_t watching() const { return watches_.size(); }
  const GatewayCounters& counters() const { return counters_; }

 private:
  class LongAnswer;
  class Watch;
  struct Row;
  static const Row kRows[];
  template <class Request, class Response>
  void call(void (Door::*method)(Request, Reply<Response>), const http::ServerRequest& request,
            http::Exchange exchange);
  void range(const http::ServerRequest& request, http::Exchange exchange);
  void keep_alive(const http::ServerRequest& request, http::Exchange exchange);
  void watch(const http::ServerRequest& request, http::Exchange exchange);
  void member_list(const http::ServerRequest& request, http::Exchange exchange);

  Door& door_;
  LongRanges ranges_;
  GatewayCounters counters_;
  std::list<std::unique_ptr<Watch>> watches_;
};

}  // namespace outrider::doors::etcd
