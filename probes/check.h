// SPDX-License-Identifier: Apache-2.0
// What a check is told to do, as validated values. Defaults are those of DESIGN §4.2 and §4.4.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/net.h"
#include "probes/verdict.h"

namespace outrider::probes {

struct HttpCheck {
  StreamAddress target;
  std::string host;  // Host header; empty: from the target
  std::string method = "GET";
  std::string path = "/";  // origin-form, starts with '/'
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<int> expect_status;  // empty: 2xx passes, 429 warns
  std::string expect_body;         // substring of the first kOutputBytesMax; empty: any
  std::optional<std::pair<std::string, std::string>> expect_header;  // identity
  bool reuse = false;  // keep the connection between probes
  // https, kept by the TLS module:
  bool tls = false;
  bool tls_verify = true;
  std::string tls_ca_file, tls_server_name, tls_cert_file, tls_key_file;
};
struct TcpCheck {
  StreamAddress target;
};
struct GrpcCheck {  // grpc.health.v1.Health/Check
  StreamAddress target;
  std::string service;
  bool tls = false;
  bool tls_verify = true;
  std::string tls_ca_file, tls_server_name, tls_cert_file, tls_key_file;
};
/// Renewed through the API; critical when not renewed within `ttl`.
struct TtlCheck {
  Duration ttl{};
};
/// Follows the health of another instance on this agent.
struct AliasCheck {
  std::string instance_id;
};

struct Timing {
  Duration interval = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(5);
  Duration start_interval = std::chrono::seconds(1);  // until the first pass …
  Duration start_timeout = std::chrono::seconds(60);  // … or this long; then `interval`
  Duration edge_interval = std::chrono::seconds(2);   // while counting towards a change
};

/// Bounds of what a check may carry; validate() names the field that is out of them.
inline constexpr std::size_t kCheckHeadersMax = 32;
inline constexpr std::size_t kCheckTextMax = 4'096;  // path, host, a header, expect_body, …
inline constexpr std::size_t kCheckBodyMax = 16'384;
inline constexpr Duration kIntervalMin = std::chrono::milliseconds(100);

struct CheckSpec {
  std::string id;  // unique within one runner
  std::variant<HttpCheck, TcpCheck, GrpcCheck, TtlCheck, AliasCheck> kind;
  Timing timing;
  Thresholds thresholds;
};

/// Nothing, or what is wrong with it, with the name of the field. Runner::add asks this too.
std::optional<std::string> validate(const CheckSpec& spec);

}  // namespace outrider::probes
