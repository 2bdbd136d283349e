// SPDX-License-Identifier: Apache-2.0
// Where a check goes: reading of its URL or address, and whether we go there (base/reach.h). Names
// are not looked up: a check must not hang on the DNS that it feeds.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "agent/registry/model.h"
#include "base/net.h"

namespace outrider::registry {

struct CheckUrl {
  bool tls = false;
  std::optional<IpAddress> address;  // nothing: the instance
  std::optional<std::uint16_t> port;
  std::string authority;   // for the Host header; empty: from the target
  std::string path = "/";  // with query
};
/// "/path", "http://127.0.0.1:8080/path", "https://[::1]/", "http://localhost:1/".
Result<CheckUrl, std::string> parse_check_url(std::string_view text);
/// "auto", ":8080", "127.0.0.1:8080", "localhost:8080".
Result<CheckUrl, std::string> parse_check_address(std::string_view text);

struct CheckTarget {
  StreamAddress to;
  std::string host;  // Host header
  std::string path;
  bool operator==(const CheckTarget&) const = default;
};
/// For HTTP, TCP and gRPC checks. An error is a sentence: neither the check nor the service has a
/// port.
Result<CheckTarget, std::string> resolve_target(const CheckSpec& check, const Instance& instance);

/// Why the agent does not probe the target, and what to do; nullopt: it does. The rule of every
/// door, of the configuration and of each probe. `own`: the addresses of this host.
std::optional<std::string> refused_target(const CheckSpec& check, const CheckTarget& target,
                                          std::span<const IpAddress> own);
/// The same before anything is registered, also for a check whose target cannot be told: a check
/// that is accepted and never probed would keep its service out of every answer.
std::optional<std::string> unreachable_check(const CheckSpec& check, const Instance& instance,
                                             std::span<const IpAddress> own);
std::optional<std::string> unreachable_check(const ServiceSpec& spec,
                                             std::span<const IpAddress> own);

}  // namespace outrider::registry
