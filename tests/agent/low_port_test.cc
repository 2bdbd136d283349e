// SPDX-License-Identifier: Apache-2.0
#include "agent/low_port.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("a port that only root may bind is named with the unit that binds it") {
  const auto why = [](const char* address, NetError error, const char* socket) {
    return why_unbound(*Endpoint::parse(address), error, socket);
  };
  CHECK(why("127.0.0.1:80", NetError::denied, "outrider-web.socket") ==
        "permission denied; ports below 1024 need root, or outrider-web.socket under systemd");
  CHECK(why("127.0.0.1:1023", NetError::denied, nullptr) ==
        "permission denied; ports below 1024 need root");
  CHECK(why("127.0.0.1:1024", NetError::denied, "outrider-web.socket") == "permission denied");
  CHECK(why("127.0.0.1:80", NetError::in_use, "outrider-web.socket") ==
        to_string(NetError::in_use));
}

}  // namespace
}  // namespace outrider
