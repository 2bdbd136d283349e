// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/target.h"

#include <algorithm>

#include "base/reach.h"
#include "base/text.h"

namespace outrider::registry {
namespace {

constexpr std::string_view kNoName = "expected an address or localhost; names are not looked up";

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_number<std::uint16_t>(text);
  return port != 0 ? port : std::nullopt;
}

/// "host", "host:port", "[v6]:port", ":port".
Result<void, std::string> parse_authority(std::string_view text, CheckUrl& url) {
  std::string_view host = text;
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = text.substr(0, colon);
    url.port = parse_port(text.substr(colon + 1));
    if (!url.port) return failure(std::string("expected a port from 1 to 65535"));
  }
  if (host.empty()) return {};
  if (host == "localhost") {
    url.address = IpAddress::loopback(IpAddress::Family::v4);
    return {};
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  url.address = IpAddress::parse(host);
  if (!url.address) return failure(std::string(kNoName));
  if (url.address->is_any() || url.address->is_multicast())
    return failure("expected an address of one host, not " + url.address->to_string());
  if (url.address->is_link_local())
    return failure(std::string("link-local addresses are never probed"));
  return {};
}

}  // namespace

Result<CheckUrl, std::string> parse_check_url(std::string_view text) {
  CheckUrl url;
  // RFC 3986 §2: what a URL has no character for is written as %XX.
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    return failure(std::string("expected ASCII without blanks; others are written as %20"));
  if (text.find('#') != std::string_view::npos)
    return failure(std::string("fragments are not possible"));
  if (text.starts_with('/')) {
    url.path = text;
    return url;
  }
  const std::size_t scheme = text.find("://");
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://"))
    return failure(std::string("expected a path that begins with '/', or an http URL"));
  const std::string_view rest = text.substr(scheme + 3);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  url.authority = rest.substr(0, slash);
  if (slash < rest.size()) url.path = rest.substr(slash);
  if (url.authority.empty() || url.authority.starts_with(':')) return failure(std::string(kNoName));
  if (auto parsed = parse_authority(url.authority, url); !parsed) return failure(parsed.error());
  if (!url.port) url.port = static_cast<std::uint16_t>(url.tls ? 443 : 80);
  return url;
}

Result<CheckUrl, std::string> parse_check_address(std::string_view text) {
  CheckUrl url;
  if (text == "auto") return url;
  if (auto parsed = parse_authority(text, url); !parsed) return failure(parsed.error());
  if (!url.port) return failure(std::string("expected \"auto\", \":port\" or \"address:port\""));
  return url;
}

namespace {

struct TargetReader {
  using Read = Result<CheckUrl, std::string>;

  Read operator()(const HttpCheckSpec& http) const { return parse_check_url(http.url); }
  Read operator()(const TcpCheckSpec& tcp) const { return parse_check_address(tcp.target); }
  Read operator()(const GrpcCheckSpec& grpc) const { return parse_check_address(grpc.target); }
  Read operator()(const TtlCheck&) const { return no_target(); }
  Read operator()(const AliasCheck&) const { return no_target(); }
  static Read no_target() { return failure(std::string("nothing to connect to")); }
};

}  // namespace

Result<CheckTarget, std::string> resolve_target(const CheckSpec& check, const Instance& instance) {
  const auto url = std::visit(TargetReader{}, check.kind);
  if (!url) return failure(url.error());
  const auto* http = std::get_if<HttpCheckSpec>(&check.kind);
  CheckTarget target{.path = url->path};
  target.host = http && !http->options.host.empty() ? http->options.host : url->authority;
  if (http && !http->unix_socket.empty()) {
    target.to = UnixPath{http->unix_socket};
    if (target.host.empty()) target.host = "localhost";
    return target;
  }
  Endpoint to;
  to.port = url->port.value_or(instance.port);
  if (to.port == 0)
    return failure(std::string("the service has no port, and the check names none"));
  // A service that listens on every address listens on loopback too, which needs no route.
  to.address = url->address                 ? *url->address
               : instance.addresses.empty() ? IpAddress::loopback(IpAddress::Family::v4)
                                            : instance.addresses.front().address;
  if (target.host.empty()) target.host = to.to_string();
  target.to = to;
  return target;
}

std::optional<std::string> refused_target(const CheckSpec& check, const CheckTarget& target,
                                          std::span<const IpAddress> own) {
  const Reach reach = check.allow_remote ? Reach::any_host : Reach::this_host;
  const auto allowed = check_reach(target.to, own, reach);
  if (allowed) return std::nullopt;
  const std::string where = to_string(target.to) + ": ";
  if (allowed.error() != ReachError::not_ours) return where + explain(allowed.error());
  return where +
         "not an address of this host, and the agent probes its own host only; leave the check to "
         "the agent there, use a TTL check, or set allow_remote in the check, which only the "
         "configuration file may do";
}

std::optional<std::string> unreachable_check(const CheckSpec& check, const Instance& instance,
                                             std::span<const IpAddress> own) {
  if (!facts_of(check.kind).has_target) return std::nullopt;
  const auto target = resolve_target(check, instance);
  const auto why = target ? refused_target(check, *target, own) : std::optional(target.error());
  if (!why) return std::nullopt;
  return "check \"" + check.id + "\": " + *why;
}

std::optional<std::string> unreachable_check(const ServiceSpec& spec,
                                             std::span<const IpAddress> own) {
  Instance instance{.id = spec.id ? *spec.id : *InstanceId::parse("new"), .service = spec.name};
  instance.port = spec.port;
  for (const IpAddress& address : spec.addresses)
    instance.addresses.push_back({address, 0});
  for (const CheckSpec& check : spec.checks)
    if (auto why = unreachable_check(check, instance, own)) return why;
  return std::nullopt;
}

}  // namespace outrider::registry
