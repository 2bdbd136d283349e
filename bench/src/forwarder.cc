// SPDX-License-Identifier: Apache-2.0
// forwarder ADDRESS:PORT UPSTREAM:PORT
//
// What forwards in an agent, and nothing else of it: dns::StubServer, dns::Resolver with its cache,
// and dns::AresUpstream over base/uv.
#include <cstdio>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "dns/resolver.h"
#include "dns/stub_server.h"
#include "dns/upstream_ares.h"

namespace outrider {
namespace {

class Sink final : public dns::StubServer::Sink {
 public:
  bool failed = false;

 private:
  void on_bind(const Endpoint& address, Result<void, NetError> result) override {
    if (result) return;
    std::fprintf(stderr, "forwarder: %s: %s\n", address.to_string().c_str(),
                 to_string(result.error()));
    failed = true;
  }
  Duration on_unknown_name(const dns::Name&, const dns::Name&) override { return Duration::zero(); }
};

int serve(const Endpoint& on, const Endpoint& upstream) {
  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::automatic);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  dns::AresUpstream ares(env);
  // What the benchmark's upstream server answers are private addresses.
  dns::Resolver resolver(env, ares, {.rebind_protection = false});
  resolver.set_upstreams({upstream}, {});
  Sink sink;
  dns::StubServer server(env, {.listen = {on}, .share_address = false}, sink);
  server.set_forwarder(&resolver);
  server.start();
  if (!sink.failed) loop.run();
  return 1;
}

}  // namespace
}  // namespace outrider

int main(int argc, char** argv) {
  const auto on = argc == 3 ? outrider::Endpoint::parse(argv[1]) : std::nullopt;
  const auto upstream = argc == 3 ? outrider::Endpoint::parse(argv[2]) : std::nullopt;
  if (!on || !upstream) {
    std::fprintf(stderr, "usage: forwarder ADDRESS:PORT UPSTREAM:PORT\n");
    return 2;
  }
  return outrider::serve(*on, *upstream);
}
