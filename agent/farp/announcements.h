// SPDX-License-Identifier: Apache-2.0
// What to announce on the local link for a registration: one record set per service type. The
// structs mirror mdns/provider.h without including it; agent/publisher.cc translates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/farp/txt_writer.h"
#include "agent/registry/model.h"
#include "base/address.h"

namespace outrider::farp {

/// The shared type under which the Octopus gateway browses.
inline constexpr std::string_view kOctopusType = "_octopus._tcp";
/// The instance's label under a type: its id, except that Octopus reads the service's name there.
const std::string& announced_label(const registry::Instance& instance, std::string_view type);

struct AnnouncementPlan {
  std::string label;
  std::string type;
  std::uint16_t port = 0;
  std::uint16_t weight = 0;
  std::vector<std::string> txt;  // "{address}" as in mdns::Announcement
  std::vector<IpAddress> addresses;
  bool host_only = false;
  std::vector<std::string> left_out;  // metadata keys that do not fit into a TXT
  bool operator==(const AnnouncementPlan&) const = default;
};
/// Empty unless the instance is a registration that is served.
std::vector<AnnouncementPlan> announcements(const registry::Instance& instance,
                                            const AnnouncementProfile& profile);
/// Of an instance of another host that is copied from the engine `via`: under its own type, at its
/// own addresses.
AnnouncementPlan announcement_of_copy(const registry::Instance& instance,
                                      const std::vector<IpAddress>& addresses, std::string_view via,
                                      const AnnouncementProfile& profile);

}  // namespace outrider::farp
