// SPDX-License-Identifier: Apache-2.0
// Where a check goes: reading of its URL or address, and the rule that a sidecar probes its own
// host alone. Names are not looked up: a check must not hang on the DNS that it feeds.
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
  bool tls = false;
};
/// `own_addresses` are those of this host's interfaces. An error is a sentence: a remote target
/// without allow_remote, link-local ones (cloud metadata services live there), no port.
Result<CheckTarget, std::string> resolve_target(const CheckSpec& check, const Instance& instance,
                                                std::span<const IpAddress> own_addresses);

}  // namespace outrider::registry
