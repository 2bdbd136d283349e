// SPDX-License-Identifier: Apache-2.0
// Loads the module that probes https and gRPC (probes/curl_module). libcurl and its TLS library
// cost 8 MB of memory, so they are loaded when the first check needs them.
#pragma once

#include <memory>
#include <string>

#include "base/module.h"
#include "probes/check.h"

namespace outrider::probes {

/// Made by the module, one for each runner; outlives its probers.
class CurlEngine {
 public:
  virtual ~CurlEngine() = default;
  virtual std::unique_ptr<Prober> make_http(const HttpCheck& check) = 0;
  virtual std::unique_ptr<Prober> make_grpc(const GrpcCheck& check) = 0;
};

/// The struct that the module exports as outrider_probe_curl.
struct CurlModule {
  ModuleHead head;
  CurlEngine* (*make_engine)(Env& env);  // null if libcurl cannot be started
};

/// Loads the module; false, with the reason in `why`, if it is not available.
bool have_curl_module(std::string* why);
/// Null, with the reason in `why`, if the module is not available.
std::unique_ptr<CurlEngine> load_curl_engine(Env& env, std::string* why);

}  // namespace outrider::probes
