// SPDX-License-Identifier: Apache-2.0
// How a Consul agent is used: plain values, which the agent takes from its configuration.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "base/tls.h"

namespace outrider::registries::consul {

/// Each one costs an open connection.
inline constexpr std::size_t kServicesMax = 64;

struct Options {
  std::string address;                // "http://127.0.0.1:8500", or with https
  TlsOptions tls;                     // for an https address; `on` comes from the address
  std::vector<std::string> services;  // names that are followed
  Duration ttl = std::chrono::seconds(15);
  bool publish = true;     // false: only reads
  std::string token_file;  // its first line counts; empty: no token
  std::string writer;      // identity of this agent, the same over restarts: marks what it writes
  bool operator==(const Options&) const = default;
};

}  // namespace outrider::registries::consul
