// SPDX-License-Identifier: Apache-2.0
// What the module exports.
#include <curl/curl.h>

#include "base/curl/module/tls_stream.h"
#include "base/curl/module/transfer.h"

namespace outrider::curl {
namespace {

bool start_libcurl() {
  static const bool kStarted = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return kStarted;
}

Curl* make(Env& env) {
  return start_libcurl() ? make_curl(env).release() : nullptr;
}

Pending* connect(Env& env, const TlsConnect& options, TlsCallback callback) {
  start_libcurl();  // where that fails, so does every handle
  return make_tls_connect(env, options, std::move(callback)).release();
}

}  // namespace
}  // namespace outrider::curl

extern "C" {
[[gnu::visibility("default")]] extern const outrider::curl::CurlModule outrider_curl;
const outrider::curl::CurlModule outrider_curl{
    {outrider::kModuleBuild}, &outrider::curl::make, &outrider::curl::connect};
}
