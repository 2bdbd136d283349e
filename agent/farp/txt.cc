// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/txt.h"

#include <algorithm>
#include <charconv>

#include "agent/farp/carried.h"
#include "base/http/url.h"
#include "base/text.h"

namespace outrider::farp {
namespace {

bool same_key(std::string_view a, std::string_view b, TxtRules rules) {
  return rules == TxtRules::forge ? a == b : equal_fold(a, b);
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
    const bool flag = equals == std::string::npos;
    if (flag && rules == TxtRules::forge) continue;
    const TxtEntry entry{.key = string.substr(0, equals),
                         .value = flag ? "" : string.substr(equals + 1),
                         .flag = flag};
    if (rules == TxtRules::forge || map.find(entry.key) == nullptr) map.set(entry);
  }
  return map;
}

std::vector<TxtEntry>::const_iterator TxtMap::place_of(std::string_view key) const {
  return std::ranges::find_if(
      entries_, [&](const TxtEntry& entry) { return same_key(entry.key, key, rules_); });
}

const std::string* TxtMap::find(std::string_view key) const {
  const auto found = place_of(key);
  return found == entries_.end() ? nullptr : &found->value;
}

std::string TxtMap::get(std::string_view key) const {
  const std::string* value = find(key);
  return value == nullptr ? std::string() : *value;
}

void TxtMap::set(const TxtEntry& entry) {
  const auto found = place_of(entry.key);
  if (found == entries_.end()) {
    entries_.push_back(entry);
    return;
  }
  TxtEntry& known = entries_[static_cast<std::size_t>(found - entries_.begin())];
  known.value = entry.value;
  known.flag = entry.flag;
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
  const bool ours = txt.find("outrider") != nullptr;
  CarriedReader carried;
  for (const auto& [key, content, flag] : txt.entries()) {
    if (ours && carried.take(key, content)) continue;
    const bool wrapped = key.starts_with(kWrap);
    const std::string name = wrapped ? key.substr(kWrap.size()) : key;
    if (!is_reserved_key(name)) facts.metadata.push_back({name, content, flag});
  }
  for (auto& [key, content] : carried.metadata())
    facts.metadata.push_back({key, content});
  if (auto tags = carried.tags()) facts.tags = std::move(*tags);
  return facts;
}

bool is_reserved_key(std::string_view key) {
  constexpr std::string_view kKeys[] = {"name",     "id",     "version",  "tags",
                                        "protocol", "weight", "outrider", kViaKey};
  const std::string folded = lowered(key);
  return folded.starts_with("farp.") || folded.starts_with("mdns.") ||
         std::ranges::find(kKeys, folded) != std::end(kKeys);
}

TxtMap survive_shrink(const TxtMap& last, const TxtMap& next) {
  const bool shrunk = next.find("farp.id") != nullptr && next.find("farp.service") == nullptr &&
                      last.find("farp.service") != nullptr &&
                      last.get("farp.id") == next.get("farp.id");
  if (!shrunk) return next;
  TxtMap merged = last;
  for (const TxtEntry& entry : next.entries())
    merged.set(entry);
  return merged;
}

std::vector<std::string> parse_capabilities(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
    text = text.substr(1, text.size() - 2);
  return split(text, ", ");
}

std::string with_reachable_host(std::string_view text, const IpAddress& seen_at) {
  auto url = http::parse_url(text);
  if (!url || !names_this_host(url->host)) return std::string(text);
  url->host = seen_at.to_string();
  return url->to_string();
}

}  // namespace outrider::farp
