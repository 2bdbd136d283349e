// SPDX-License-Identifier: Apache-2.0
#include "base/http2/library.h"
#include "base/http2/nghttp2_module/nghttp2_session.h"

extern "C" {
[[gnu::visibility("default")]] extern const outrider::http2::Library outrider_http2;
const outrider::http2::Library outrider_http2{
    {outrider::kModuleBuild}, [](outrider::http2::Session::Sink& sink) {
      return outrider::http2::make_nghttp2_session(sink).release();
    }};
}
