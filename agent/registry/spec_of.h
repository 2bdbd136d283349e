// SPDX-License-Identifier: Apache-2.0
// From a registration back to the specification that it was made of.
#pragma once

#include "agent/registry/model.h"

namespace outrider::registry {

/// Without an id if that was chosen automatically: another identity of the host makes another one.
ServiceSpec spec_of(const Instance& instance);

}  // namespace outrider::registry
