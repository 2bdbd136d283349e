// SPDX-License-Identifier: Apache-2.0
// base/http2 on real sockets: a gRPC server beside HTTP/1.1 on one port of loopback, with the
// module that the agent loads. SIGTERM: stops in an orderly way.
//
//   grpc_peer PORT
//
//   /outrider.test.Peer/Echo   unary: the message itself
//   /outrider.test.Peer/Fail   unary: status 7
//   /outrider.test.Peer/Chat   streaming: each message itself
//   /outrider.test.Peer/Pour   streaming: for a message, messages of 1,000 octets without end, as
//                              fast as the client takes them
#include <cstdio>
#include <string>

#include <signal.h>

#include "base/http2/grpc.h"
#include "base/text.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

using namespace outrider;

namespace {

constexpr std::string_view kPour = "/outrider.test.Peer/Pour";

class Stream final : public grpc::StreamReader {
 public:
  Stream(grpc::StreamWriter writer, bool pours) : writer_(std::move(writer)), pours_(pours) {}

 private:
  void on_message(Bytes message) override {
    if (pours_) return on_writable();
    writer_.send(as_text(message));
  }
  void on_half_close() override {
    if (!pours_) writer_.finish({});
  }
  void on_writable() override {
    while (pours_ && writer_.send(std::string(1'000, 'x'))) {
    }
  }
  grpc::StreamWriter writer_;
  bool pours_;
};

class Peer final : public grpc::Service, public http::Handler {
 public:
  const grpc::Method* find(std::string_view path) const override {
    constexpr auto kStreaming = grpc::Method::Kind::streaming;
    static constexpr grpc::Method kMethods[] = {{"/outrider.test.Peer/Echo"},
                                                {"/outrider.test.Peer/Fail"},
                                                {"/outrider.test.Peer/Chat", kStreaming},
                                                {kPour, kStreaming}};
    for (const grpc::Method& method : kMethods)
      if (method.path == path) return &method;
    return nullptr;
  }
  std::string refuse(std::string_view path) const override {
    return "not here: " + std::string(path);
  }
  void on_call(const grpc::Method& method, const grpc::CallHead&, Bytes message,
               grpc::Reply reply) override {
    if (method.path.ends_with("Echo")) return reply.answer(as_text(message));
    reply.fail({grpc::Code::permission_denied, "not allowed, and 100 % sure"});
  }
  std::unique_ptr<grpc::StreamReader> on_stream(const grpc::Method& method, const grpc::CallHead&,
                                                grpc::StreamWriter writer) override {
    return std::make_unique<Stream>(std::move(writer), method.path == kPour);
  }
  void on_request(const http::ServerRequest& request, http::Exchange exchange) override {
    exchange.answer(http::text_answer(200, "HTTP/1.1 " + request.path + "\n"));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const auto port = parse_number<std::uint16_t>(argc == 2 ? argv[1] : "");
  if (!port) return 2;
  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::text);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};

  std::string why;
  const http2::Library* library = http2::load_library(&why);
  if (library == nullptr) {
    std::printf("%s\n", why.c_str());
    return 1;
  }
  Peer peer;
  http::Clients clients(env);
  grpc::Server calls(env, peer);
  http2::Server server(env, clients, *library, calls);
  http::ServerOptions options;
  options.on = Endpoint{IpAddress::parse("127.0.0.1").value(), *port};
  options.clients = &clients;
  options.http2 = &server;
  http::Server listener(env, options, peer);
  if (const auto started = listener.start(); !started) {
    std::printf("%s\n", to_string(started.error()));
    return 1;
  }
  std::printf("listening\n");
  std::fflush(stdout);
  const auto end = loop.watch_signal(SIGTERM, [&] {
    calls.stop("the peer is stopping");
    server.stop([&] { loop.stop(); });
  });
  loop.run();
  std::printf("stopped; %llu connections, %llu requests, %llu violations, %llu lagged\n",
              static_cast<unsigned long long>(server.counters().connections),
              static_cast<unsigned long long>(server.counters().requests),
              static_cast<unsigned long long>(server.counters().violations),
              static_cast<unsigned long long>(server.counters().clients_lagged));
  return 0;
}
