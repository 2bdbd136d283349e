// SPDX-License-Identifier: Apache-2.0
// https and gRPC, over base/curl: from a check to a request, and from its answer to an outcome.
#pragma once

#include <memory>

#include "base/curl/curl.h"
#include "probes/check.h"

namespace outrider::probes {

inline constexpr const char* kCurlChecks = "https and gRPC checks";

/// For valid checks; they copy what they need. `curl` outlives them.
std::unique_ptr<Prober> make_https_prober(curl::Curl& curl, const HttpCheck& check);
std::unique_ptr<Prober> make_grpc_prober(curl::Curl& curl, const GrpcCheck& check);

}  // namespace outrider::probes
