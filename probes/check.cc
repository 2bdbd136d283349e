// SPDX-License-Identifier: Apache-2.0
#include "probes/check.h"

#include <algorithm>

#include "base/http/parser.h"

namespace outrider::probes {
namespace {

using Wrong = std::optional<std::string>;

bool visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

Wrong wrong_target(const StreamAddress& target) {
  if (const auto* path = std::get_if<UnixPath>(&target)) {
    // sun_path has 108 bytes, including the NUL.
    if (path->path.empty() || path->path.size() > 107) return "target: not a socket path";
    return std::nullopt;
  }
  const auto& endpoint = std::get<Endpoint>(target);
  if (endpoint.port == 0) return "target: expected a port";
  if (endpoint.address.is_any()) return "target: expected an address, not a wildcard";
  if (endpoint.address.is_multicast()) return "target: a multicast address cannot be probed";
  return std::nullopt;
}

Wrong wrong_headers(const HttpCheck& http) {
  if (http.options.headers.size() > kCheckHeadersMax) return "headers: too many";
  for (const auto& [name, value] : http.options.headers) {
    if (!http::valid_header(name, value)) return "headers: \"" + name + "\" is not a header";
    if (name.size() + value.size() > kCheckTextMax) return "headers: \"" + name + "\" is too long";
  }
  const auto& expected = http.options.expect.header;
  if (expected && !http::valid_header(expected->first, expected->second))
    return "expect_header: not a header";
  return std::nullopt;
}

Wrong wrong(const HttpCheck& http) {
  if (const Wrong target = wrong_target(http.target)) return target;
  if (http.options.method.empty() || !http::valid_header(http.options.method, ""))
    return "method: not a method";
  if (!http.path.starts_with('/') || !visible(http.path) || http.path.size() > kCheckTextMax)
    return "path: must start with '/' and have no spaces";
  if (http.path.find('#') != std::string::npos) return "path: must not have a fragment";
  if (!visible(http.options.host) || http.options.host.size() > kCheckTextMax)
    return "host: not a host name";
  if (http.options.body.size() > kCheckBodyMax) return "body: too long";
  if (http.options.expect.body.size() > kOutputBytesMax)
    return "expect_body: longer than the part of a body that is read";
  for (const int status : http.options.expect.status)
    if (status < 100 || status > 599) return "expect_status: expected 100 to 599";
  return wrong_headers(http);
}

Wrong wrong(const TcpCheck& tcp) {
  return wrong_target(tcp.target);
}

Wrong wrong(const GrpcCheck& grpc) {
  if (grpc.service.size() > kCheckTextMax) return "service: too long";
  return wrong_target(grpc.target);
}

Wrong wrong(const TtlCheck& ttl) {
  if (ttl.ttl < kIntervalMin) return "ttl: expected at least " + format_duration(kIntervalMin);
  return std::nullopt;
}

Wrong wrong(const AliasCheck& alias) {
  if (alias.instance_id.empty()) return "alias: expected an instance id";
  return std::nullopt;
}

Wrong wrong(const CheckTiming& timing) {
  if (timing.interval < kIntervalMin || timing.start_interval < kIntervalMin ||
      timing.edge_interval < kIntervalMin) {
    return "interval: expected at least " + format_duration(kIntervalMin);
  }
  if (timing.timeout <= Duration::zero()) return "timeout: must be positive";
  if (timing.start_timeout < Duration::zero()) return "start_timeout: must not be negative";
  return std::nullopt;
}

}  // namespace

std::optional<std::string> validate(const CheckSpec& spec) {
  if (spec.key.check.empty() || spec.key.check.size() > kCheckTextMax)
    return "id: missing or too long";
  if (const Wrong timing = wrong(spec.timing)) return timing;
  return std::visit([](const auto& kind) { return wrong(kind); }, spec.kind);
}

}  // namespace outrider::probes
