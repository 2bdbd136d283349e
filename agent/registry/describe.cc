// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/describe.h"

#include "agent/registry/served.h"

namespace outrider::registry {

std::string describe_state(const Instance& instance) {
  std::string out = instance.id.text() + ": " + to_string(instance.health);
  if (instance.maintenance && !instance.maintenance_reason.empty())
    out += ": " + instance.maintenance_reason;
  const std::string_view failure = failure_of(instance);
  return failure.empty() ? out : out + ": " + std::string(failure);
}

}  // namespace outrider::registry
