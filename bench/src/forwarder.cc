// SPDX-License-Identifier: Apache-2.0
// forwarder ADDRESS:PORT UPSTREAM:PORT
//
// What forwards in an agent, and nothing else of it: dns::StubServer, dns::Resolver with its cache,
// and dns::AresUpstream over base/uv.
#include <cstdio>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "bench/src/bench_sink.h"
#include "dns/resolver.h"
#include "dns/upstream_ares.h"

namespace outrider {
namespace {

int serve(const Endpoint& on, const Endpoint& upstream) {
  uv::Loop loop;
  uv::SystemRandom random;
  const auto log = uv::make_stderr_log(loop.clock(), uv::LogFormat::automatic);
  Env env{loop.clock(), loop.timers(), loop.network(), random, *log};
  dns::AresUpstream ares(env);
  // What the benchmark's upstream server answers are private addresses.
  dns::Resolver resolver(env, ares, {.rebind_protection = false});
  resolver.set_upstreams({upstream}, {});
  BenchSink sink;
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
