// SPDX-License-Identifier: Apache-2.0
#include "base/http/guard.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::http {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// From "Authorization: Bearer x" or, as Consul's clients send it, "X-Consul-Token: x"; older ones
/// put it into the query.
std::string token_of(const Request& request) {
  if (const std::string_view consul = request.headers.get("X-Consul-Token"); !consul.empty())
    return std::string(consul);
  const std::string_view authorization = request.headers.get("Authorization");
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() > kBearer.size() &&
      equal_fold(authorization.substr(0, kBearer.size()), kBearer)) {
    return std::string(authorization.substr(kBearer.size()));
  }
  const auto target = parse_target(request.target);
  return target ? std::string(target->get("token")) : std::string();
}

bool is_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  return equal_fold(type.substr(0, type.find_last_not_of(' ') + 1), "application/json");
}

}  // namespace

bool is_loopback_host(std::string_view host) {
  // A port is at the end, behind a colon that is not one of an IPv6 address in brackets.
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && colon > 0 &&
      (host.front() != '[' || host[colon - 1] == ']')) {
    const std::string_view port = host.substr(colon + 1);
    if (!all_digits(port) || port.size() > 5) return false;
    host = host.substr(0, colon);
  }
  if (equal_fold(host, "localhost")) return true;
  if (host.starts_with('[') && host.ends_with(']')) {
    const auto address = IpAddress::parse(host.substr(1, host.size() - 2));
    return address && address->is_v6() && address->is_loopback();
  }
  const auto address = IpAddress::parse(host);
  return address && address->is_v4() && address->is_loopback();
}

bool is_mutating(std::string_view method) {
  return method != "GET" && method != "HEAD";
}

bool is_changing(const Request& request, const GuardOptions& options) {
  if (is_mutating(request.method)) return true;
  const auto target = parse_target(request.target);
  return target && std::any_of(options.changing_prefixes.begin(), options.changing_prefixes.end(),
                               [&](const std::string& prefix) {
                                 return target->path.starts_with(prefix);
                               });
}

bool is_browser(const Request& request) {
  return request.headers.get("User-Agent").starts_with("Mozilla/") ||
         request.headers.has("Referer") || request.headers.has("Sec-Fetch-Site");
}

bool equal_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |=
        static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  }
  return difference == 0;
}

std::optional<Refusal> guard(const Request& request, const Caller& caller,
                             const GuardOptions& options) {
  if (caller.unix_socket) return std::nullopt;
  if (options.public_reading) {
    if (is_mutating(request.method)) return Refusal{405, "only GET is allowed"};
    return std::nullopt;
  }
  if (!is_loopback_host(request.headers.get("Host")))
    return Refusal{403, "the Host header must name a loopback address"};
  if (request.headers.has("Origin")) {
    const std::string_view origin = request.headers.get("Origin");
    if (std::find(options.origins.begin(), options.origins.end(), origin) == options.origins.end())
      return Refusal{403, "requests of web pages are not accepted"};
  }
  if (!is_changing(request, options)) return std::nullopt;
  if (!is_mutating(request.method) && is_browser(request))
    return Refusal{403, "requests of web pages are not accepted"};
  for (const std::string& prefix : options.open_prefixes)
    if (request.target.starts_with(prefix)) return std::nullopt;
  if (options.token.empty()) return Refusal{403, "changes are not accepted on this port"};
  // Before the content type: a client without the token learns nothing else.
  if (!equal_secret(token_of(request), options.token)) {
    return Refusal{401,
                   "changes over TCP need the token (Authorization: Bearer, or "
                   "X-Consul-Token)"};
  }
  // A form or plain text is what a page may send without asking first. Old Consul clients send
  // JSON without any type, which no browser does.
  if (!request.body.empty() && request.headers.has("Content-Type") &&
      !is_json(request.headers.get("Content-Type"))) {
    return Refusal{415, "the body must be application/json"};
  }
  return std::nullopt;
}

}  // namespace outrider::http
