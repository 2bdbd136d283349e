// SPDX-License-Identifier: Apache-2.0
// The route table that a gateway would build from what is on the LAN, by that gateway's own rules,
// so that a developer sees on the laptop what the gateway will do. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/farp/manifest.h"
#include "agent/farp/txt.h"
#include "base/address.h"

namespace outrider::farp {

enum class Gateway : std::uint8_t {
  bastion,  // fetches manifests; falls back to TXT
  forge,    // the Forge gateway of before Bastion: TXT only
  octopus,  // mDNS mode: label is the name, OpenAPI by path
  spec,     // the specification's mount rules over the manifest
};
std::optional<Gateway> parse_gateway(std::string_view text);
const char* to_string(Gateway gateway);

/// One healthy instance as a gateway sees it. Instances of one service follow each other, the one
/// that the gateway would list first in front.
struct RouteSource {
  std::string service;
  std::string label;  // DNS-SD instance label
  Endpoint endpoint;
  TxtFacts txt;
  std::optional<Manifest> manifest;  // as fetched; gateways that do not fetch ignore it
};

struct Route {
  std::string id;
  std::string path;                  // "/user-service/*"
  std::vector<std::string> methods;  // empty: all
  std::string protocol;              // http websocket graphql grpc
  std::string service;
  std::vector<std::string> targets;  // "http://10.0.0.1:8080"
  int priority = 0;
  bool strip_prefix = false;
  std::string health_path;
  std::string why;  // "farp.openapi in TXT", "manifest schema asyncapi", "catch-all: no FARP"
};

std::vector<Route> build_routes(Gateway gateway, const std::vector<RouteSource>& sources);

}  // namespace outrider::farp
