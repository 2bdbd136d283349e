// SPDX-License-Identifier: Apache-2.0
// A check made ready to run: what base/check.h holds, with the address of its target. Defaults are
// those of DESIGN §4.2 and §4.4.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/check_kinds.h"
#include "base/health.h"
#include "base/net.h"
#include "probes/probe.h"

namespace outrider::probes {

struct HttpCheck {
  static constexpr CheckKind kKind = CheckKind::http;
  StreamAddress target;
  std::string path = "/";  // origin-form, starts with '/'
  HttpOptions options{};
  TlsOptions tls{};
};
struct TcpCheck {
  static constexpr CheckKind kKind = CheckKind::tcp;
  StreamAddress target;
};
struct GrpcCheck {  // grpc.health.v1.Health/Check
  static constexpr CheckKind kKind = CheckKind::grpc;
  StreamAddress target;
  std::string service{};
  TlsOptions tls{};
};

/// Bounds of what a check may carry; validate() names the field that is out of them.
inline constexpr std::size_t kCheckHeadersMax = 32;
inline constexpr std::size_t kCheckTextMax = 4'096;  // path, host, a header, expect_body, …
inline constexpr std::size_t kCheckBodyMax = 16'384;
inline constexpr Duration kIntervalMin = std::chrono::milliseconds(100);

struct CheckSpec {
  using Kind = std::variant<HttpCheck, TcpCheck, GrpcCheck, TtlCheck, AliasCheck>;
  static_assert(is_in_table_order(std::type_identity<Kind>()));

  CheckKey key;  // unique within one runner
  Kind kind;
  CheckTiming timing;
  CheckThresholds thresholds;
  /// The verdict to start from: that of the check which this one replaces, for example.
  CheckHealth standing = CheckHealth::starting;
  /// Heartbeats: when the last one came; TimePoint{}: now.
  TimePoint renewed{};
};

/// Nothing, or what is wrong with it, with the name of the field. Runner::add asks this too.
std::optional<std::string> validate(const CheckSpec& spec);

}  // namespace outrider::probes
