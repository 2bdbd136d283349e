// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/curl/curl.h"

namespace outrider::curl {

/// Null if libcurl cannot be started.
std::unique_ptr<Curl> make_curl(Env& env);

}  // namespace outrider::curl
