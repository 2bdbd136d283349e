// SPDX-License-Identifier: Apache-2.0
#include "base/http/guard.h"

#include <algorithm>

#include "base/base64.h"
#include "base/http/accept.h"
#include "base/text.h"

namespace outrider::http {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// What a client shows to be permitted to make changes.
struct ShownToken {
  std::string text;
  bool in_header = false;  // a page cannot send it without asking first
};

/// "x" of "Authorization: Bearer x"; empty if it is of another scheme.
std::string_view credentials(std::string_view authorization, std::string_view wanted) {
  const std::string_view scheme = authorization.substr(0, wanted.size());
  const std::string_view rest = authorization.substr(scheme.size());
  if (!equal_fold(scheme, wanted) || !(rest.starts_with(' ') || rest.starts_with('\t'))) return {};
  return without_blanks(rest);
}

/// The password of "Authorization: Basic x", which clients make of http://user:TOKEN@host; empty if
/// it is of another scheme.
std::string basic_password(std::string_view authorization) {
  const std::string_view encoded = credentials(authorization, "basic");
  const auto pair = base64_decode(encoded).value_or(std::string());
  const std::size_t colon = pair.find(':');
  return colon == std::string::npos ? std::string() : pair.substr(colon + 1);
}

/// From "Authorization: Bearer x" or, as Consul's clients send it, "X-Consul-Token: x"; older ones
/// put it into the query. Clients with nothing but a URL put it there as a password, which browsers
/// send by themselves for a page that has it once.
ShownToken shown_token(const Request& request, const Target& target) {
  if (const auto consul = without_blanks(request.headers.get("X-Consul-Token")); !consul.empty())
    return {std::string(consul), true};
  const std::string_view authorization = request.headers.get("Authorization");
  if (const auto bearer = credentials(authorization, "bearer"); !bearer.empty())
    return {std::string(bearer), true};
  if (const auto query = target.get("token"); !query.empty()) return {std::string(query), false};
  return {basic_password(authorization), false};
}

bool is_json(std::string_view content_type) {
  return equal_fold(without_blanks(content_type.substr(0, content_type.find(';'))),
                    "application/json");
}

std::optional<std::string_view> without_port(std::string_view host) {
  // A port is at the end, behind a colon that is not one of an IPv6 address in brackets.
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || colon == 0 ||
      (host.front() == '[' && host[colon - 1] != ']'))
    return host;
  const std::string_view port = host.substr(colon + 1);
  if (!all_digits(port) || port.size() > 5) return std::nullopt;
  return host.substr(0, colon);
}

/// "localhost" of "localhost.", which DNS takes for the same name.
std::string_view without_root(std::string_view name) {
  return name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

}  // namespace

bool is_loopback_host(std::string_view text) {
  const auto host = without_port(text);
  if (!host) return false;
  if (equal_fold(without_root(*host), "localhost")) return true;
  if (host->starts_with('[') && host->ends_with(']')) {
    const auto address = IpAddress::parse(host->substr(1, host->size() - 2));
    return address && address->is_v6() && address->is_loopback();
  }
  const auto address = IpAddress::parse(*host);
  return address && address->is_v4() && address->is_loopback();
}

bool is_host_name(std::string_view text) {
  constexpr std::size_t kNameMax = 253;
  return !text.empty() && text.size() <= kNameMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.' || c == '_';
         });
}

bool is_mutating(std::string_view method) {
  return method != "GET" && method != "HEAD";
}

namespace {

bool begins_with_one_of(const Target& target, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return target.path.starts_with(prefix); });
}

}  // namespace

bool is_changing(std::string_view method, const Target& target, const GuardOptions& options) {
  return is_mutating(method) || begins_with_one_of(target, options.changing_prefixes);
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

namespace {

bool is_own_host(std::string_view host, const GuardOptions& options) {
  if (is_loopback_host(host)) return true;
  const auto name = without_port(host);
  return name && std::any_of(options.host_names.begin(), options.host_names.end(),
                             [&](const std::string& known) {
                               return equal_fold(without_root(known), without_root(*name));
                             });
}

/// Of a page that this server has sent, or a listed one. The Host is known to be ours.
bool is_known_origin(const Request& request, const GuardOptions& options) {
  const std::string_view origin = request.headers.get("Origin");
  constexpr std::string_view kScheme = "http://";
  if (origin.starts_with(kScheme) &&
      equal_fold(origin.substr(kScheme.size()), request.headers.get("Host")))
    return true;
  return std::ranges::find(options.origins, origin) != options.origins.end();
}

/// Of a change over TCP.
std::optional<Refusal> check_token(const Request& request, const Target& target,
                                   const GuardOptions& options) {
  if (options.token.empty())
    return Refusal{403, "this port takes no changes; use the agent's Unix socket"};
  const ShownToken shown = shown_token(request, target);
  // Before the content type: a client without the token learns nothing else.
  if (!equal_secret(shown.text, options.token))
    return Refusal{
        401, shown.text.empty()
                 ? "changes over TCP need the token: send the content of the file \"token\" "
                   "beside the agent's socket as Authorization: Bearer, X-Consul-Token, or the "
                   "password of the URL"
                 : "wrong token; the right one is in the file \"token\" beside the agent's "
                   "socket"};
  // A form or plain text is what a page may send without asking first. Old Consul clients send
  // JSON without any type, which no browser does.
  if (!shown.in_header && !request.body.empty() && request.headers.has("Content-Type") &&
      !is_json(request.headers.get("Content-Type")))
    return Refusal{415,
                   "with the token in the query or as a password, the Content-Type must be "
                   "application/json; any is accepted with the token as Authorization: Bearer or "
                   "X-Consul-Token"};
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> guard(const Request& request, const Target& target, const Caller& caller,
                             const GuardOptions& options) {
  // A browser comes through a forwarded port, where any page may try to.
  if (caller.unix_socket && !is_browser(request)) return std::nullopt;
  if (options.public_reading && !caller.unix_socket) {
    if (is_mutating(request.method))
      return Refusal{405, "this port is for reading: only GET and HEAD are allowed"};
    return std::nullopt;
  }
  if (const auto host = request.headers.get("Host"); !is_own_host(host, options))
    return Refusal{403, "the Host header names \"" + std::string(host) +
                            "\"; expected a loopback address, localhost, or a name that the option "
                            "api.host_names lists"};
  if (request.headers.has("Origin") && !is_known_origin(request, options))
    return Refusal{403, "requests of web pages are not accepted"};
  if (caller.unix_socket || !is_changing(request.method, target, options)) return std::nullopt;
  if (!is_mutating(request.method) && is_browser(request))
    return Refusal{403, "requests of web pages are not accepted"};
  if (begins_with_one_of(target, options.open_prefixes)) return std::nullopt;
  return check_token(request, target, options);
}

}  // namespace outrider::http
