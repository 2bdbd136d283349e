// SPDX-License-Identifier: Apache-2.0
// Loads the module that speaks HTTP/2 (base/http2/nghttp2_module), when the first server needs it.
#pragma once

#include <memory>
#include <string>

#include "base/http2/session.h"
#include "base/module.h"

namespace outrider::http2 {

/// The struct that the module exports as outrider_http2. The sink outlives the session.
struct Library {
  ModuleHead head;
  Session* (*make_session)(Session::Sink& sink);  // null: out of memory
};

/// Null, with the reason in `why`, if the module is not available.
const Library* load_library(std::string* why);

}  // namespace outrider::http2
