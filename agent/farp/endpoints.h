// SPDX-License-Identifier: Apache-2.0
// The FARP endpoints of our own services, as a pure function from a request to an answer:
//
//   /_farp/SERVICE/ID/manifest  …/health  …/schemas/TYPE  …/discovery      as announced
//   /_farp/ID/manifest …           the same
//   /_farp/SERVICE/manifest …      if the service has one FARP instance here
//   /_farp/manifest …              if this agent has one FARP instance
//
// While an instance is not healthy enough to have an address, or there is none at all, the answer
// is 503 with JSON that says so, as Forge does: gateways retry on 503 and give up on 404.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/farp/schemas.h"
#include "agent/registry/registry.h"

namespace outrider::farp {

struct EndpointAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

/// Where others reach us: what a manifest says about addresses.
struct Vantage {
  IpAddress address;            // of this host, as the asker reached it
  std::uint16_t farp_port = 0;  // where these endpoints are served; 0: nowhere
};

/// One registration's manifest. Schemas that were not fetched yet, or that no URL leads to, are
/// left out.
Manifest build_manifest(const registry::Instance& instance, const SchemaStore& schemas,
                        const Vantage& vantage);

/// "starting", "healthy", "degraded", "unhealthy" or "draining".
const char* farp_status(registry::Health health);

class Endpoints {
 public:
  /// Both outlive it.
  Endpoints(const registry::Registry& registry, const SchemaStore& schemas)
      : registry_(registry), schemas_(schemas) {}

  EndpointAnswer answer(std::string_view method, std::string_view path,
                        const Vantage& vantage) const;

 private:
  EndpointAnswer one(const registry::Instance& instance, std::string_view what,
                     const Vantage& vantage) const;

  const registry::Registry& registry_;
  const SchemaStore& schemas_;
};

}  // namespace outrider::farp
