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
  const ModuleHead* head = open_module(kCurlModuleName, why);
  if (head == nullptr) return nullptr;
  // The head is the first member of a standard-layout struct; open_module() checks that the module
  // is of the same build.
  const auto* module = static_cast<const CurlModule*>(static_cast<const void*>(head));
  std::unique_ptr<CurlEngine> engine(module->make_engine(env));
  if (!engine) *why = "https and gRPC checks: libcurl could not be started";
  return engine;
}

}  // namespace outrider::probes
