// SPDX-License-Identifier: Apache-2.0
// Writing the TXT records of our instances, for mDNS and for unicast DNS: what every DNS-SD browser
// shows, the keys of FARP (farp.*), and the instance's metadata. txt.h reads those of others.
//
// Every string fits into its length octet and the whole into one datagram; metadata that is not a
// plain string is carried (carried.h), and what does not fit is left out and listed. A value that
// names our own address has the mark "{address}", because it differs by interface; write_txt_at
// replaces it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/model.h"
#include "base/address.h"

namespace outrider::farp {

/// What all announcements of this agent have in common.
struct AnnouncementProfile {
  std::vector<std::string> shared_types = {"_farp._tcp"};
  /// Port of our own FARP endpoints; 0: they are on the service's port.
  std::uint16_t farp_port = 0;
  /// farp_port is not 0 while a registration has FARP.
  bool has_endpoints = true;
  bool compact_txt = false;  // leave out FARP keys that no known reader uses
  std::string host_text;     // registry::host_text(); TXT key "outrider"
  std::string via;           // of a copy, the engine that it is from; TXT key kViaKey
};

struct WrittenTxt {
  std::vector<std::string> strings;   // "key=value"
  std::vector<std::string> left_out;  // keys that did not fit, or that no TXT can hold
};
/// For one service type ("_hello._tcp").
WrittenTxt write_txt(const registry::Instance& instance, std::string_view type,
                     const AnnouncementProfile& profile);
/// The strings alone, with `address` in place of "{address}" where we wrote that: what other hosts
/// say stays as they say it.
std::vector<std::string> write_txt_at(const registry::Instance& instance, std::string_view type,
                                      const AnnouncementProfile& profile, const IpAddress& address);

/// Whether nothing of a registration is ever left out of its record, whatever its health is and on
/// whichever port the FARP endpoints are.
bool fits_into_txt(const registry::ServiceSpec& spec, const registry::InstanceId& id,
                   const AnnouncementProfile& profile);

/// What a gateway probes: farp.health, else the path of the first HTTP check; empty if neither.
std::string health_path(const registry::Instance& instance);
/// "/_farp/SERVICE/ID": where our port serves the endpoints of this instance, whatever else is
/// registered.
std::string endpoint_prefix(const registry::Instance& instance);

}  // namespace outrider::farp
