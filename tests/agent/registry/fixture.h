// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <doctest/doctest.h>

#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"

namespace outrider::registry {

inline Moment at(Duration since_start) {
  // Wall time starts at 2026-01-31T09:30:00Z.
  return {TimePoint(since_start), WallTime(std::chrono::seconds(1'769'851'800) + since_start)};
}

inline HostView host_view() {
  return {"box",
          {IpAddress::v4(10, 0, 0, 1), *IpAddress::parse("2001:db8::1")},
          {*Prefix::parse("10.0.0.1/24")}};
}

inline json::Value tree(const std::string& text) {
  const auto value = json::parse(text, json::kConfigBytesMax);
  REQUIRE_MESSAGE(value.has_value(), text);
  return *value;
}

inline ServiceSpec spec(const std::string& text) {
  const auto parsed = ServiceSpec::parse(tree(text));
  const std::string error = parsed ? std::string() : parsed.error().to_string();
  REQUIRE_MESSAGE(parsed.has_value(), error);
  return *parsed;
}

inline Sighting sighting(const std::string& service, const std::string& id,
                         const std::string& address, std::uint16_t port) {
  Sighting s{.place = {.key = '_' + service + "._tcp " + id, .engine = "mdns", .host = address},
             .service = *ServiceName::parse(service),
             .id = *InstanceId::from_foreign(id),
             .addresses = {{*IpAddress::parse(address), 2}}};
  s.port = port;
  s.place.expires = TimePoint(20s);
  return s;
}

}  // namespace outrider::registry
