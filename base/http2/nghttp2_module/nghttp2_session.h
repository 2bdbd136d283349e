// SPDX-License-Identifier: Apache-2.0
// Session on libnghttp2.
#pragma once

#include <memory>

#include "base/http2/session.h"

namespace outrider::http2 {

/// Null: out of memory. The sink outlives the session.
std::unique_ptr<Session> make_nghttp2_session(Session::Sink& sink);

}  // namespace outrider::http2
