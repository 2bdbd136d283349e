// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/txt.h"

#include <algorithm>
#include <charconv>

namespace outrider::farp {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_key(std::string_view a, std::string_view b, TxtRules rules) {
  if (rules == TxtRules::forge) return a == b;
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> split(std::string_view text, std::string_view separators) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

bool names_this_host(std::string_view host) {
  if (host == "localhost") return true;
  const auto address = IpAddress::parse(host);
  return address && (address->is_loopback() || address->is_any());
}

}  // namespace

TxtMap TxtMap::parse(const std::vector<std::string>& strings, TxtRules rules) {
  TxtMap map;
  map.rules_ = rules;
  for (const std::string& string : strings) {
    const std::size_t equals = string.find('=');
    if (equals == 0 || string.empty()) continue;  // RFC 6763 §6.4: no key, silently ignored
    if (equals == std::string::npos && rules == TxtRules::forge) continue;
    const std::string key = string.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : string.substr(equals + 1);
    if (map.find(key) == nullptr)
      map.entries_.emplace_back(key, value);
    else if (rules == TxtRules::forge)
      map.set(key, value);
  }
  return map;
}

const std::string* TxtMap::find(std::string_view key) const {
  const auto found = std::ranges::find_if(
      entries_, [&](const auto& entry) { return same_key(entry.first, key, rules_); });
  return found == entries_.end() ? nullptr : &found->second;
}

std::string TxtMap::get(std::string_view key) const {
  const std::string* value = find(key);
  return value == nullptr ? std::string() : *value;
}

void TxtMap::set(std::string_view key, std::string value) {
  const auto found = std::ranges::find_if(
      entries_, [&](const auto& entry) { return same_key(entry.first, key, rules_); });
  if (found == entries_.end())
    entries_.emplace_back(key, std::move(value));
  else
    found->second = std::move(value);
}

TxtFacts read_txt(const TxtMap& txt) {
  TxtFacts facts;
  facts.library = txt.find("farp.id") != nullptr;
  // The library's layout wraps each key of the plain one; unwrapped they read alike.
  constexpr std::string_view kWrap = "farp.meta.";
  const auto value = [&](std::string_view key) {
    const std::string* plain = txt.find(key);
    return plain != nullptr ? *plain : txt.get(std::string(kWrap) + std::string(key));
  };
  facts.enabled = value("farp.enabled") == "true";
  facts.name = facts.library ? txt.get("farp.service") : "";
  if (facts.name.empty()) facts.name = value("name");
  facts.id = facts.library ? txt.get("farp.id") : value("id");
  facts.version = value("version");
  facts.status = txt.get("farp.status");
  facts.tags = split(value("tags"), ",");
  facts.capabilities = parse_capabilities(value("farp.capabilities"));
  facts.manifest = value("farp.manifest");
  facts.openapi = value("farp.openapi");
  facts.asyncapi = value("farp.asyncapi");
  facts.graphql = value("farp.graphql");
  facts.openapi_path = value("farp.openapi.path");
  facts.asyncapi_path = value("farp.asyncapi.path");
  facts.graphql_path = value("farp.graphql.path");
  facts.grpc_reflection = value("farp.grpc.reflection") == "true";
  facts.health = value("farp.health");
  if (facts.health.empty()) facts.health = value("farp.health.path");
  for (const auto& [key, content] : txt.entries()) {
    const bool wrapped = key.starts_with(kWrap);
    const std::string name = wrapped ? key.substr(kWrap.size()) : key;
    const bool reserved = name.starts_with("farp.") || name.starts_with("mdns.") ||
                          name == "name" || name == "id" || name == "version" || name == "tags";
    if (!reserved) facts.metadata.emplace_back(name, content);
  }
  return facts;
}

TxtMap survive_shrink(const TxtMap& last, const TxtMap& next) {
  const bool shrunk = next.find("farp.id") != nullptr && next.find("farp.service") == nullptr &&
                      last.find("farp.service") != nullptr &&
                      last.get("farp.id") == next.get("farp.id");
  if (!shrunk) return next;
  TxtMap merged = last;
  for (const auto& [key, value] : next.entries())
    merged.set(key, value);
  return merged;
}

std::vector<std::string> parse_capabilities(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
    text = text.substr(1, text.size() - 2);
  return split(text, ", ");
}

std::string Url::to_string() const {
  const bool v6 = host.find(':') != std::string::npos;
  const std::uint16_t usual = scheme == "https" ? 443 : 80;
  std::string text = scheme + "://" + (v6 ? '[' + host + ']' : host);
  if (port != usual) text += ':' + std::to_string(port);
  return text + path;
}

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  for (const std::string_view scheme : {"http", "https"}) {
    const std::size_t end = scheme.size();
    if (text.size() > end + 3 && text.substr(end, 3) == "://" &&
        same_key(text.substr(0, end), scheme, TxtRules::strict)) {
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
    const std::string_view digits = authority.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
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

std::string with_reachable_host(std::string_view text, const IpAddress& seen_at) {
  auto url = parse_url(text);
  if (!url || !names_this_host(url->host)) return std::string(text);
  url->host = seen_at.to_string();
  return url->to_string();
}

}  // namespace outrider::farp
