// SPDX-License-Identifier: Apache-2.0
// The two messages of grpc.health.v1.Health/Check, coded by hand: a protobuf library would be
// larger than the rest of the module. Pure.
//
//   HealthCheckRequest  { string service = 1; }
//   HealthCheckResponse { enum ServingStatus status = 1; }
//
// Each is one length-prefixed message of gRPC over HTTP/2: a flag (0: not compressed), four octets
// of length, the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "probes/probe.h"

namespace outrider::probes {

inline constexpr int kServing = 1;

/// The framed request; `service` is at most kOutputBytesMax octets.
std::string grpc_health_request(std::string_view service);

/// The serving status in a framed reply: 0 unknown, 1 serving, 2 not serving, 3 service unknown.
/// Nothing if it is not one complete, uncompressed message.
std::optional<int> grpc_serving_status(Bytes framed);

/// The outcome of a call. `grpc_status` and `grpc_message` come from the trailers, or from
/// the header of a trailers-only answer; nothing: the server sent none.
Outcome judge_grpc(int http_status, std::optional<std::string_view> grpc_status,
                   std::string_view grpc_message, Bytes framed);

}  // namespace outrider::probes
