// SPDX-License-Identifier: Apache-2.0
#include "probes/curl_loader.h"

namespace outrider::probes {
namespace {

constexpr ModuleName kCurlModuleName{
    .file = "outrider-probe-curl.so",
    .symbol = "outrider_probe_curl",
    .needed_by = "https and gRPC checks",
    .package = "outrider-probe-curl",
    .folder = "probes/curl_module",
};

}  // namespace

bool have_curl_module(std::string* why) {
  return open_module(kCurlModuleName, why) != nullptr;
}

std::unique_ptr<CurlEngine> load_curl_engine(Env& env, std::string* why) {
  const auto* module = open_module_as<CurlModule>(kCurlModuleName, why);
  if (module == nullptr) return nullptr;
  std::unique_ptr<CurlEngine> engine(module->make_engine(env));
  if (!engine) *why = "https and gRPC checks: libcurl could not be started";
  return engine;
}

}  // namespace outrider::probes
