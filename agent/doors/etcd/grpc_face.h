// SPDX-License-Identifier: Apache-2.0
// The door as etcd's clients know it: gRPC over HTTP/2, on the connections that an http::Server has
// accepted.
//
//   http::Server ▸ http2::Server ▸ grpc::Server ▸ GrpcFace ▸ Door
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/doors/etcd/long_ranges.h"
#include "agent/doors/etcd/rpc.h"
#include "base/http2/grpc.h"
#include "base/http2/server.h"

namespace outrider::doors::etcd {

class GrpcFace final : grpc::Service {
 public:
  /// All of them outlive the face; `library`: http2::load_library().
  GrpcFace(Env& env, http::Clients& clients, const http2::Library& library, Door& door);

  /// For http::ServerOptions::http2.
  http::Http2Acceptor& acceptor() { return server_; }
  /// Ends watches and keep-alives, and answers what is at hand; `done` comes within
  /// http2::kDrainTime, and never during the call.
  void stop(Callback<void()> done);
  const grpc::ServerCounters& counters() const { return calls_.counters(); }
  std::size_t connection_count() const { return server_.connection_count(); }
  std::size_t stream_count() const { return calls_.call_count(); }

 private:
  const grpc::Method* find(std::string_view path) const override;
  std::string refuse(std::string_view path) const override { return refuse_method(path).text; }
  void on_call(const grpc::Method& method, const grpc::CallHead& head, Bytes message,
               grpc::Reply reply) override;
  std::unique_ptr<grpc::StreamReader> on_stream(const grpc::Method& method,
                                                const grpc::CallHead& head,
                                                grpc::StreamWriter writer) override;

  void range(Bytes message, grpc::Reply reply);

  Door& door_;
  LongRanges ranges_;
  grpc::Server calls_;
  http2::Server server_;
};

}  // namespace outrider::doors::etcd
