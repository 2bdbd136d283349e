// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <stdlib.h>

#include "probes/runner.h"
#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::probes;

namespace {
struct NoSink final : Runner::Sink {
  void on_health(const CheckKey&, CheckHealth, const Outcome&) override {}
};
}  // namespace

TEST_CASE("https and gRPC checks without the module: refused, with the reason") {
  sim::World world;
  NoSink sink;
  Runner runner(world.env(), sink);
  setenv("OUTRIDER_MODULE_PATH", "/nowhere/at/all", 1);
  const Endpoint target{IpAddress::v4(127, 0, 0, 1), 443};
  const HttpCheck plain{.target = target};
  HttpCheck secure = plain;
  secure.tls.on = true;
  std::string why;
  CHECK_FALSE(runner.add({{"a", "web"}, secure, {}, {}}, &why));
  CHECK(why.find("outrider-curl.so") != std::string::npos);
  CHECK(why.find("/nowhere/at/all") != std::string::npos);
  CHECK_FALSE(runner.add({{"a", "rpc"}, GrpcCheck{.target = target}, {}, {}}));
  // Plain ones do not need it.
  CHECK(runner.add({{"a", "plain"}, plain, {}, {}}));
  unsetenv("OUTRIDER_MODULE_PATH");
}
