// SPDX-License-Identifier: Apache-2.0
#include "base/http/url.h"

#include <algorithm>

#include "base/address.h"
#include "base/text.h"

namespace outrider::http {
namespace {

std::string bracketed(const std::string& host) {
  return host.find(':') != std::string::npos ? '[' + host + ']' : host;
}

}  // namespace

std::string Url::to_string() const {
  const std::uint16_t usual = scheme == "https" ? 443 : 80;
  return scheme + "://" + (port == usual ? bracketed(host) : authority()) + path;
}

std::string Url::authority() const {
  return bracketed(host) + ':' + std::to_string(port);
}

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  for (const std::string_view scheme : {"http", "https"}) {
    const std::size_t end = scheme.size();
    if (text.size() > end + 3 && text.substr(end, 3) == "://" &&
        equal_fold(text.substr(0, end), scheme)) {
      url.scheme = scheme;
    }
  }
  const auto dirty = [](char c) { return c <= ' ' || c > '~' || c == '#' || c == '\\'; };
  if (url.scheme.empty() || std::ranges::any_of(text, dirty)) return std::nullopt;
  text.remove_prefix(url.scheme.size() + 3);
  const std::size_t slash = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, slash);
  url.path = std::string(text.substr(slash));
  if (url.path.empty() || url.path[0] != '/') url.path.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return std::nullopt;

  url.port = url.scheme == "https" ? 443 : 80;
  const std::size_t bracket = authority.find(']');
  const std::size_t from = bracket == std::string_view::npos ? 0 : bracket;
  const std::size_t colon = authority.find(':', from);
  if (colon != std::string_view::npos) {
    const auto port = parse_number<std::uint16_t>(authority.substr(colon + 1));
    if (!port) return std::nullopt;
    url.port = *port;
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[')) {
    if (!authority.ends_with(']')) return std::nullopt;
    authority = authority.substr(1, authority.size() - 2);
    const bool v6 = authority.find(':') != std::string_view::npos;
    if (!v6 || !IpAddress::parse(authority)) return std::nullopt;
  } else if (authority.find_first_of("[]") != std::string_view::npos) {
    return std::nullopt;
  }
  if (authority.empty() || url.port == 0) return std::nullopt;
  url.host = std::string(authority);
  return url;
}

std::string percent_encode(std::string_view text) {
  return outrider::percent_encode(text, [](char c) {
    return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
  });
}

}  // namespace outrider::http
