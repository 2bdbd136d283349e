// SPDX-License-Identifier: Apache-2.0
// The way to the module that probes https and gRPC (probes/curl_module). libcurl and the TLS
// library behind it cost 8 MB of memory, so they are loaded when the first check needs them.
#pragma once

#include <memory>
#include <string>

#include "probes/check.h"

namespace outrider::probes {

/// What the module makes: one for a runner; outlives its probers.
class CurlEngine {
 public:
  virtual ~CurlEngine() = default;
  virtual std::unique_ptr<Prober> make_http(const HttpCheck& check) = 0;
  virtual std::unique_ptr<Prober> make_grpc(const GrpcCheck& check) = 0;
};

/// What the module exports under kCurlModuleSymbol. Module and program are built together; `build`
/// must be equal before anything else of it is touched.
struct CurlModule {
  const char* build;
  CurlEngine* (*make_engine)(Env& env);  // null when libcurl does not start
};
inline constexpr const char* kCurlModuleFile = "outrider-probe-curl.so";
inline constexpr const char* kCurlModuleSymbol = "outrider_probe_curl";
inline constexpr const char* kCurlModuleBuild = OUTRIDER_VERSION " " __VERSION__;

/// Looks in $OUTRIDER_MODULE_PATH if that is set, else in ../lib/outrider beside the program, the
/// folder of installation, and the build tree. Null and a reason in `why` if it cannot be had. The
/// module stays loaded for good.
std::unique_ptr<CurlEngine> load_curl_engine(Env& env, std::string* why);

}  // namespace outrider::probes
