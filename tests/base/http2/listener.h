// SPDX-License-Identifier: Apache-2.0
// A listener in the simulator that hands connections of HTTP/2 on, with libnghttp2 linked in
// instead of loaded as a module.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "base/http2/grpc_framing.h"
#include "base/http2/library.h"
#include "base/http2/nghttp2_module/nghttp2_session.h"
#include "tests/base/http2/client.h"

namespace outrider::test {

inline const http2::Library kLibrary{{kModuleBuild}, [](http2::Session::Sink& sink) {
                                       return http2::make_nghttp2_session(sink).release();
                                     }};

/// A message as gRPC sends it.
inline std::string framed(std::string_view message) {
  return grpc::message_prefix(message.size()) + std::string(message);
}

/// Requests of HTTP/1.1 get no answer.
struct NoHttp1 final : http::Handler {
  void on_request(const http::ServerRequest&, http::Exchange) override {}
};

/// All outlive the listener. `http1` answers requests of HTTP/1.1.
inline std::unique_ptr<http::Server> listen(Env& env, StreamAddress on, http::Clients& clients,
                                            http::Http2Acceptor& http2, http::Handler& http1) {
  http::ServerOptions options;
  options.on = std::move(on);
  options.clients = &clients;
  options.http2 = &http2;
  auto listener = std::make_unique<http::Server>(env, options, http1);
  REQUIRE(listener->start());
  return listener;
}

}  // namespace outrider::test
