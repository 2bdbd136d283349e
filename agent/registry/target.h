// SPDX-License-Identifier: Apache-2.0
// Where a check goes: reading of its URL or address. Whether we may go there is a rule of
// base/reach.h. Names are not looked up: a check must not hang on the DNS that it feeds.
#pragma once

#include <optional>
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

}  // namespace outrider::registry
