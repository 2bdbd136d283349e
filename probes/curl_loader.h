// SPDX-License-Identifier: Apache-2.0
// The way to the module that probes https and gRPC (probes/curl_module). libcurl and the TLS
// library behind it cost 8 MB of memory, so they are loaded when the first check needs them.
#pragma once

#include <memory>
#include <string>

#include "base/module.h"
#include "probes/check.h"

namespace outrider::probes {

/// What the module makes: one for a runner; outlives its probers.
class CurlEngine {
 public:
  virtual ~CurlEngine() = default;
  virtual std::unique_ptr<Prober> make_http(const HttpCheck& check) = 0;
  virtual std::unique_ptr<Prober> make_grpc(const GrpcCheck& check) = 0;
};

/// What the module exports as outrider_probe_curl.
struct CurlModule {
  ModuleHead head;
  CurlEngine* (*make_engine)(Env& env);  // null when libcurl does not start
};

/// False and a reason in `why` if the module cannot be had. Loads it.
bool have_curl_module(std::string* why);
/// Null and a reason in `why` if the module cannot be had.
std::unique_ptr<CurlEngine> load_curl_engine(Env& env, std::string* why);

}  // namespace outrider::probes
