// SPDX-License-Identifier: Apache-2.0
// A scripted HTTP/1.1 server for tests of probes and the like. It understands only requests without
// a body; what it answers can be changed while it runs.
//
//   sim::HttpServer server(host.env(), 8080);
//   server.set("/health", {.status = 200, .body = "ok"});
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env.h"

namespace outrider::sim {

class HttpServer final : private Listener::Sink {
 public:
  struct Answer {
    int status = 200;
    std::string body = "ok";
    std::vector<std::string> headers;  // "Name: value"
    Duration after{};                  // so long it thinks
    bool close = false;                // the connection, after the answer
    std::string raw = {};              // not empty: sent as it is instead of all above
  };

  /// Listens on all IPv4 and IPv6 addresses of the host. A free port: see port().
  HttpServer(Env& env, std::uint16_t port);
  HttpServer(Env& env, const UnixPath& path);
  ~HttpServer();

  std::uint16_t port() const { return port_; }
  /// Paths without an answer get 404. The query is no part of the path.
  void set(const std::string& path, Answer answer) { answers_[path] = std::move(answer); }
  /// Heads of all requests, as they came.
  const std::vector<std::string>& requests() const { return requests_; }
  std::size_t connections() const { return connections_.size(); }
  /// Ends the listeners and all connections, as when the process dies; listens again on true.
  void set_listening(bool listening);

 private:
  class Connection;
  void listen();
  void on_accept(std::unique_ptr<Stream> stream) override;

  Env& env_;
  std::vector<StreamAddress> addresses_;
  std::uint16_t port_ = 0;
  std::map<std::string, Answer> answers_;
  std::vector<std::string> requests_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace outrider::sim
