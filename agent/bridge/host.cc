// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/host.h"

#include <algorithm>

#include "base/address.h"
#include "base/http/guard.h"
#include "base/text.h"

namespace outrider::bridge {
namespace {

constexpr std::size_t kNameBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelBytesMax && std::ranges::all_of(label, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool is_name(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    if (!is_label(name.substr(at, dot - at))) return false;
    at = dot + 1;
  }
  return true;
}

/// Without a port; empty if what is behind the colon is no port.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.find(':');
  if (colon == std::string_view::npos) return host;
  return parse_number<std::uint16_t>(host.substr(colon + 1)) ? host.substr(0, colon)
                                                             : std::string_view();
}

/// What stands before ".DOMAIN"; empty if nothing does.
std::string_view below(std::string_view name, std::string_view domain) {
  if (domain.empty() || name.size() <= domain.size() + 1 || !name.ends_with(domain)) return {};
  const std::string_view rest = name.substr(0, name.size() - domain.size());
  return rest.ends_with('.') ? rest.substr(0, rest.size() - 1) : std::string_view();
}

}  // namespace

Host read_host(std::string_view text, const std::vector<std::string>& domains) {
  if (http::is_loopback_host(text)) return {.kind = Host::Kind::page};
  std::string name = lowered(without_port(text));
  if (name.ends_with('.')) name.pop_back();
  // "hello.svc.localhost" is hello, too.
  if (const std::string_view rest = below(name, "localhost"); !rest.empty())
    name = std::string(rest);
  else if (std::ranges::none_of(domains,
                                [&](const auto& domain) { return !below(name, domain).empty(); }))
    return {};
  for (const std::string& domain : domains) {
    if (const std::string_view rest = below(name, domain); !rest.empty()) {
      name = std::string(rest);
      break;
    }
  }
  if (!is_name(name) || IpAddress::parse(name)) return {};
  return {Host::Kind::service, std::move(name)};
}

}  // namespace outrider::bridge
