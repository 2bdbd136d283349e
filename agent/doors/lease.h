// SPDX-License-Identifier: Apache-2.0
// Registrations that a program keeps alive by renewing them, as the registries that some dialects
// stand in for have them. In our registry a lease is a heartbeat check whose id belongs to the
// dialect, which tells later through which door the registration came.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"

namespace outrider::doors {

struct LeaseKind {
  std::string_view check;  // its id
  std::string_view door;   // for people
};
inline constexpr LeaseKind kAppLease{"renew", "discovery"};
inline constexpr LeaseKind kEurekaLease{"eureka", "eureka"};
inline constexpr LeaseKind kLeases[] = {kAppLease, kEurekaLease};

/// The door that a registration of this agent came through; empty if it has no lease.
std::string_view door_of(const registry::Instance& instance);
/// Null if the instance has no such check.
const registry::CheckState* find_check_state(const registry::Instance& instance,
                                             std::string_view check_id);

/// Of `ids`, under which the registry may keep a client's instance, the first that no registration
/// has. Ids are the registry's own across all services, and those of some dialects' clients only
/// within one. Nothing if all are taken.
std::optional<registry::InstanceId> first_free(const registry::Registry& registry,
                                               const std::vector<registry::InstanceId>& ids);
/// Adds the checks of the registration with the id of `spec` that `spec` does not have: those that
/// were registered separately. False: they are too many together.
bool keep_other_checks(const registry::Registry& registry, registry::ServiceSpec& spec);
/// Registers `instance` again with other metadata, within the limits of a registration. Draining
/// goes on. The error is a sentence.
Result<void, std::string> replace_metadata(Control& control, const registry::Instance& instance,
                                           registry::Metadata metadata);

}  // namespace outrider::doors
