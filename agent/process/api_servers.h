// SPDX-License-Identifier: Apache-2.0
// The API of a running agent on its listeners: the Unix socket, the loopback ports of
// api.consul_listen with their token, and connections to web.listen that name localhost. A listener
// that fails to open is tried again, and a socket, token file or runtime directory that is removed
// while the agent runs is made again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/agent.h"
#include "agent/doors/api.h"
#include "base/http/server.h"

namespace outrider {

class WebListener;

/// The interval at which listeners that failed to open are tried again.
inline constexpr Duration kListenRetry = std::chrono::seconds(5);
/// Servers whose socket file is gone, kept for the clients that are still connected.
inline constexpr std::size_t kRetiredServersMax = 4;

class ApiServers {
 public:
  /// Calls the function after the file at a path was created, replaced or removed, while the token
  /// lives.
  using WatchFile =
      std::function<std::unique_ptr<Pending>(const std::string& path, Callback<void()> changed)>;

  /// `config` and `agent` outlive it.
  /// `dir` is the runtime directory.
  ApiServers(Env& env, Agent& agent, const ApiConfig& config, std::string dir,
             WatchFile watch_file);
  void start();
  doors::Api& api() { return api_; }
  /// The path of the Unix socket; empty if it could not be opened, or is off.
  std::string socket() const { return socket_ ? socket_path_ : std::string(); }

 private:
  /// Device and inode: tells our socket from another program's at the same path.
  using FileId = std::pair<std::uint64_t, std::uint64_t>;

  bool open_socket();
  Result<void, NetError> open_file(const std::string& path);
  bool open_port(const Endpoint& endpoint);
  void serve_web(WebListener& web);
  http::ServerOptions options_for(const StreamAddress& on);
  void open_missing();
  void look_at_files();
  void retire_socket();
  void settle_token();
  static std::optional<FileId> id_of(const std::string& path);

  Env& env_;
  Agent& agent_;
  http::Clients& clients_;
  const ApiConfig& config_;
  WatchFile watch_file_;
  doors::Api api_;
  std::string dir_, token_;
  std::vector<Endpoint> missing_ports_;
  bool socket_missing_ = true;
  bool logged_ = false;  // failures are logged once
  Timer retry_;
  std::vector<std::unique_ptr<http::Server>> ports_;
  std::unique_ptr<http::Server> web_;  // connections that the bridge hands over
  std::unique_ptr<http::Server> socket_;
  std::string socket_path_;
  std::optional<FileId> socket_id_;
  std::vector<std::unique_ptr<http::Server>> retired_;  // oldest first
  std::unique_ptr<Pending> socket_watch_, token_watch_;
};

}  // namespace outrider
