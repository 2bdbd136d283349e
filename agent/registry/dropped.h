// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/registry/model.h"

namespace outrider::registry {

/// Why a dropped registration is not listed: "critical for more than 1m, check http: HTTP 503".
std::string why_dropped(const Instance& instance);

}  // namespace outrider::registry
