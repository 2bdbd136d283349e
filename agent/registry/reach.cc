// SPDX-License-Identifier: Apache-2.0
// What changes about where clients reach registrations, which these do not say themselves.
#include <utility>

#include "agent/registry/registry.h"
#include "agent/registry/registry_state.h"

namespace outrider::registry {

Changes Registry::readdress(Moment now) {
  Changes changes;
  Instance node = *state_->node;
  node.revision = ++state_->revision;
  changes.node = std::make_shared<const Instance>(std::move(node));
  changes.node_before = std::exchange(state_->node, changes.node);
  for (const InstancePtr& instance : own()) {
    if (instance->dropped || !instance->addresses.empty()) continue;
    state_->commit_own(instance, *instance, changes, now);
    changes.list.back().readdressed = true;
  }
  return state_->finish(std::move(changes));
}

Result<Changes, RegistryError> Registry::set_local_name(std::string_view id, std::string name,
                                                        Moment now) {
  const InstancePtr old = find_own(id);
  if (!old) return failure(RegistryError::unknown_instance);
  if (old->local_name->name == name) return state_->finish({});
  Instance next = *old;
  next.local_name = LocalName{old->local_name->wanted, std::move(name)};
  Changes changes;
  state_->commit_own(old, std::move(next), changes, now);
  return state_->finish(std::move(changes));
}

}  // namespace outrider::registry
