// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/spec_of.h"

namespace outrider::registry {

ServiceSpec spec_of(const Instance& instance) {
  ServiceSpec spec{.name = instance.service};
  spec.description() = instance.description();
  if (instance.short_id.empty()) spec.id = instance.id;
  for (const PlacedAddress& placed : instance.addresses)
    spec.addresses.push_back(placed.address);
  spec.scope = instance.configured_scope;
  spec.local_name = instance.local_name->wanted;
  spec.door = instance.door;
  for (const CheckState& check : instance.checks)
    spec.checks.push_back(check.spec);
  return spec;
}

}  // namespace outrider::registry
