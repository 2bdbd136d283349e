// SPDX-License-Identifier: Apache-2.0
// The parts of a health check that are the same where it is configured (agent/registry) and where
// it is run (probes). The two rooms add what they alone know: the first the target as text, the
// second its address. base/check_kinds.h holds the table of the kinds.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

namespace outrider {

/// The name of a check among all checks of an agent.
struct CheckKey {
  std::string instance;  // id of the registration
  std::string check;     // unique within the registration
  auto operator<=>(const CheckKey&) const = default;
};
struct CheckKeyHash {
  std::size_t operator()(const CheckKey& key) const {
    const std::hash<std::string> hash;
    return hash(key.instance) * 31 + hash(key.check);
  }
};

enum class CheckKind : std::uint8_t { http, tcp, grpc, ttl, alias };

struct CheckTiming {
  Duration interval = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(5);
  Duration start_interval = std::chrono::seconds(1);  // until the first pass …
  Duration start_timeout = std::chrono::seconds(60);  // … or this long; then `interval`
  Duration edge_interval = std::chrono::seconds(2);   // while counting towards a change
  bool operator==(const CheckTiming&) const = default;
};

struct CheckThresholds {
  std::uint32_t success_before_passing = 2;
  std::uint32_t failures_before_warning = 1;
  std::uint32_t failures_before_critical = 3;
  bool refused_is_critical = false;  // ECONNREFUSED counts as failures_before_critical at once
  bool operator==(const CheckThresholds&) const = default;
};

/// What an answer must be like for the check to pass.
struct HttpExpectation {
  std::vector<int> status;  // empty: 2xx passes, 429 warns
  std::string body;         // must occur in the part of the body that is read; empty: any
  std::optional<std::pair<std::string, std::string>> header;  // identifies the service
  bool operator==(const HttpExpectation&) const = default;
};
/// What an HTTP check sends and expects, wherever it goes.
struct HttpOptions {
  std::string host;  // Host header; empty: from the target
  std::string method = "GET";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  HttpExpectation expect;
  bool reuse = false;  // keep the connection between probes
  bool operator==(const HttpOptions&) const = default;
};

/// A heartbeat: renewed through the API; critical when not renewed within `ttl`.
struct TtlCheck {
  static constexpr CheckKind kKind = CheckKind::ttl;
  Duration ttl{};
  bool operator==(const TtlCheck&) const = default;
};
/// Follows the health of another registration of this agent.
struct AliasCheck {
  static constexpr CheckKind kKind = CheckKind::alias;
  std::string instance_id;
  bool operator==(const AliasCheck&) const = default;
};

}  // namespace outrider
