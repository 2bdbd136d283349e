// SPDX-License-Identifier: Apache-2.0
// The API of a running agent on its listeners: the Unix socket, and the loopback ports of
// api.consul_listen with their token. A listener that fails to open is tried again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/doors/api.h"
#include "base/http/server.h"

namespace outrider {

/// The interval at which listeners that failed to open are tried again.
inline constexpr Duration kListenRetry = std::chrono::seconds(5);

class ApiServers {
 public:
  /// `config` and `agent` outlive it.
  ApiServers(Env& env, Agent& agent, const ApiConfig& config);
  void start();

 private:
  bool open_socket();
  bool open_port(const Endpoint& endpoint);
  bool open(const StreamAddress& on);
  void open_missing();
  std::string token();

  Env& env_;
  const ApiConfig& config_;
  doors::Api api_;
  std::string dir_, token_;
  std::vector<Endpoint> missing_ports_;
  bool socket_missing_ = true;
  bool logged_ = false;  // failures are logged once
  Timer retry_;
  std::vector<std::unique_ptr<http::Server>> servers_;
};

}  // namespace outrider
