// SPDX-License-Identifier: Apache-2.0
// What a server of the benchmarks wants of its dns::StubServer: to know that it listens.
#pragma once

#include <cstdio>

#include "dns/stub_server.h"

namespace outrider {

class BenchSink final : public dns::StubServer::Sink {
 public:
  bool failed = false;

 private:
  void on_bind(const Endpoint& address, Result<void, NetError> result) override {
    if (result) return;
    std::fprintf(stderr, "%s: %s\n", address.to_string().c_str(), to_string(result.error()));
    failed = true;
  }
  Duration on_unknown_name(const dns::Name&, const dns::Name&) override { return Duration::zero(); }
};

}  // namespace outrider
