// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/lease.h"

#include <algorithm>
#include <utility>

#include "agent/registry/spec_of.h"

namespace outrider::doors {

using registry::CheckState;
using registry::Instance;
using registry::InstancePtr;
using registry::ServiceSpec;

std::string_view door_of(const Instance& instance) {
  if (!instance.own()) return {};
  if (const std::string& door = instance.door->door; !door.empty()) return door;
  for (const LeaseKind& lease : kLeases) {
    const CheckState* check = find_check_state(instance, lease.check);
    if (check != nullptr && std::holds_alternative<TtlCheck>(check->spec.kind)) return lease.door;
  }
  return {};
}

const CheckState* find_check_state(const Instance& instance, std::string_view check_id) {
  const auto found =
      std::ranges::find(instance.checks, check_id,
                        [](const CheckState& check) -> std::string_view { return check.spec.id; });
  return found == instance.checks.end() ? nullptr : &*found;
}

std::optional<registry::InstanceId> first_free(const registry::Registry& registry,
                                               const std::vector<registry::InstanceId>& ids) {
  const auto free = std::ranges::find_if(ids, [&](const registry::InstanceId& id) {
    return registry.find_exact(id.text()) == nullptr;
  });
  return free == ids.end() ? std::nullopt : std::optional(*free);
}

bool keep_other_checks(const registry::Registry& registry, ServiceSpec& spec) {
  const InstancePtr before = registry.find_exact(spec.id->text());
  if (before == nullptr) return true;
  for (const CheckState& old : before->checks) {
    const bool there = std::any_of(spec.checks.begin(), spec.checks.end(),
                                   [&](const auto& check) { return check.id == old.spec.id; });
    if (!there) spec.checks.push_back(old.spec);
  }
  return spec.checks.size() <= registry::kChecksPerInstanceMax;
}

Result<void, std::string> replace_metadata(Control& control, const Instance& instance,
                                           registry::Metadata metadata) {
  ServiceSpec next = registry::spec_of(instance);
  next.metadata = std::move(metadata);
  // The limits are those of a registration.
  std::string text;
  json::Writer out(text);
  auto without_id = next;
  without_id.id.reset();
  write(out, without_id);
  const auto tree = json::parse(text, json::kBodyBytesMax);
  const auto spec =
      tree ? ServiceSpec::parse(*tree) : Result<ServiceSpec, registry::SpecError>(next);
  if (!spec) return failure(spec.error().to_string());
  const bool draining = instance.draining;  // registering again ends it
  const std::string id = instance.id.text();
  const auto done = control.put(next);
  if (!done) return failure(std::string(registry::to_string(done.error())));
  if (draining) (void)control.set_draining(id, true);
  return {};
}

}  // namespace outrider::doors
