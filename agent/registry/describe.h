// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "agent/registry/model.h"

namespace outrider::registry {

/// The state of an instance for people: "web-1: critical: HTTP 503", "web-1: maintenance: disk".
/// The same from every agent of its host.
std::string describe_state(const Instance& instance);

}  // namespace outrider::registry
