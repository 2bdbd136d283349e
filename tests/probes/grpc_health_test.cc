// SPDX-License-Identifier: Apache-2.0
#include "probes/grpc_health.h"

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::probes;
using namespace std::string_literals;

namespace {
std::optional<int> serving(const std::string& framed) {
  return grpc_serving_status(as_bytes(framed));
}
}  // namespace

TEST_CASE("gRPC health: the request") {
  CHECK(grpc_health_request("") == "\0\0\0\0\0"s);
  CHECK(grpc_health_request("orders") == "\0\0\0\0\x08\x0a\x06orders"s);
  const std::string longer(300, 'x');
  CHECK(grpc_health_request(longer) == "\0\0\0\x01\x2f\x0a\xac\x02"s + longer);
}

TEST_CASE("gRPC health: the reply") {
  CHECK(serving("\0\0\0\0\x02\x08\x01"s) == 1);
  CHECK(serving("\0\0\0\0\x02\x08\x02"s) == 2);
  CHECK(serving("\0\0\0\0\0"s) == 0);  // the default of a field is left out
  // Fields that we do not know: varint, 64 bits, octets, 32 bits.
  CHECK(serving("\0\0\0\0\x18\x10\xff\x01\x19"s + "12345678" + "\x22\x03"s + "abc\x25" + "1234" +
                "\x08\x01"s) == 1);
  for (const std::string& bad : {
           ""s,
           "\0\0\0\0"s,
           "\x01\0\0\0\x02\x08\x01"s,  // compressed
           "\0\0\0\0\x03\x08\x01"s,    // cut short
           "\0\0\0\0\x01\x08\x01"s,    // more than said
           "\0\0\0\0\x01\x08"s,
           "\0\0\0\0\x02\x12\x05"s,
           "\0\0\0\0\x01\x0b"s,  // a group
           "\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,
           "\0\0\0\0\x06\x08\xff\xff\xff\xff\x0f"s,
       }) {
    CAPTURE(bad.size());
    CHECK_FALSE(serving(bad));
  }
}

TEST_CASE("gRPC health: what the end of a call means") {
  const std::string up = "\0\0\0\0\x02\x08\x01"s, down = "\0\0\0\0\x02\x08\x02"s;
  const auto judge = [](int http, std::optional<std::string_view> status, const std::string& body,
                        std::string_view message = "") {
    const Outcome outcome = judge_grpc(http, status, message, as_bytes(body));
    return std::string(to_string(outcome.kind)) + ": " + outcome.output;
  };
  CHECK(judge(200, "0", up) == "pass: SERVING");
  CHECK(judge(200, "0", down) == "fail_status: NOT_SERVING");
  CHECK(judge(200, "0", "\0\0\0\0\0"s) == "fail_status: UNKNOWN");
  CHECK(judge(200, "0", "\0\0\0\0\x02\x08\x09"s) == "fail_status: a status not in the protocol");
  CHECK(judge(200, "5", "", "unknown service") == "fail_status: grpc-status 5: unknown service");
  CHECK(judge(200, "5", "", "no%20%E2%82%AC%2 50%") ==
        "fail_status: grpc-status 5: no \xE2\x82\xAC%2 50%");
  CHECK(judge(200, "12", "") == "fail_status: grpc-status 12");
  CHECK(judge(200, "0", "") == "fail_protocol: not a HealthCheckResponse");
  CHECK(judge(200, "x", up) == "fail_protocol: grpc-status is not a number");
  CHECK(judge(200, "-1", up) == "fail_protocol: grpc-status is not a number");
  CHECK(judge(200, std::nullopt, up) ==
        "fail_protocol: not a gRPC server: HTTP 200, no grpc-status");
  CHECK(judge(404, "12", "") == "fail_protocol: not a gRPC server: HTTP 404");
}
