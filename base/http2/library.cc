// SPDX-License-Identifier: Apache-2.0
#include "base/http2/library.h"

namespace outrider::http2 {
namespace {

constexpr ModuleName kHttp2ModuleName{
    .file = "outrider-http2.so",
    .symbol = "outrider_http2",
    .needed_by = "gRPC servers",
    .package = "outrider-modules",
    .folder = "base/http2/nghttp2_module",
};

}  // namespace

const Library* load_library(std::string* why) {
  return open_module_as<Library>(kHttp2ModuleName, why);
}

}  // namespace outrider::http2
