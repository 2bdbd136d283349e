// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/txt_writer.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::farp {
namespace {

using registry::Instance;

constexpr std::size_t kTxtStringMax = 255;   // RFC 1035 §3.3.14
constexpr std::size_t kTxtTotalMax = 1'100;  // as mdns/provider.h allows
constexpr std::size_t kAddressTextMax = 41;  // "[…]" around the longest IPv6 text

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size())
    ++count;
  return count;
}

/// Keys are printable ASCII without '=' (RFC 6763 §6.4), each occurs once, and every string fits.
class TxtBuilder {
 public:
  /// `marked`: "{address}" in a value will be replaced.
  explicit TxtBuilder(bool marked) : marked_(marked) {}
  void add(std::string_view key, std::string_view value) {
    add_string(key, std::string(key) + '=' + std::string(value));
  }
  void add_flag(std::string_view key) { add_string(key, std::string(key)); }
  void add_unless_empty(std::string_view key, std::string_view value) {
    if (!value.empty()) add(key, value);
  }
  WrittenTxt take() { return std::move(txt_); }

 private:
  void add_string(std::string_view key, std::string string) {
    const bool clean = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
      return c > 0x20 && c < 0x7f && c != '=';
    });
    const std::size_t marks =
        marked_ ? occurrences(string, kAddressMark) * (kAddressTextMax - kAddressMark.size()) : 0;
    const std::size_t size = string.size();
    const bool taken = std::find(keys_.begin(), keys_.end(), key) != keys_.end();
    if (!clean || taken || size + marks > kTxtStringMax ||
        bytes_ + size + marks + 1 > kTxtTotalMax) {
      txt_.left_out.emplace_back(key);
      return;
    }
    bytes_ += size + marks + 1;
    keys_.emplace_back(key);
    txt_.strings.push_back(std::move(string));
  }

  bool marked_;
  WrittenTxt txt_;
  std::vector<std::string> keys_;
  std::size_t bytes_ = 0;
};

/// Elements with a comma are left out: every reader would split them.
std::string list_of(std::vector<std::string> texts) {
  std::erase_if(texts, [](const std::string& text) { return text.find(',') != std::string::npos; });
  return join(texts, ",");
}

std::string base_url(std::uint16_t port) {
  return "http://" + std::string(kAddressMark) + ':' + std::to_string(port);
}

/// Both the absolute URL and the path of a document: readers differ in which of them they use.
void add_document(TxtBuilder& txt, const std::string& key, const std::string& document,
                  std::uint16_t port) {
  if (document.empty()) return;  // readers take an empty value for a route
  if (document.front() == '/') {
    txt.add(key, base_url(port) + document);
    txt.add(key + ".path", document);
    return;
  }
  txt.add(key, document);
  const std::size_t host = document.find("://");
  const std::size_t path = host == std::string::npos ? host : document.find('/', host + 3);
  if (path != std::string::npos) txt.add(key + ".path", document.substr(path));
}

void add_farp(TxtBuilder& txt, const Instance& instance, const AnnouncementProfile& profile) {
  const registry::FarpSpec& farp = *instance.farp;
  txt.add("farp.enabled", "true");
  if (instance.own() && profile.farp_port != 0)
    txt.add("farp.manifest", base_url(profile.farp_port) + endpoint_prefix(instance) + "/manifest");
  else if (instance.own())  // the program serves them itself
    txt.add("farp.manifest", base_url(instance.port) + "/_farp/manifest");
  else
    txt.add_unless_empty("farp.manifest", farp.manifest);
  for (const auto& [key, document] : {std::pair{"openapi", &farp.openapi},
                                      {"asyncapi", &farp.asyncapi},
                                      {"graphql", &farp.graphql}}) {
    const std::string name = std::string("farp.") + key;
    if (!registry::FarpSpec::is_file(*document))
      add_document(txt, name, *document, instance.port);
    else if (profile.farp_port != 0)  // served by us
      txt.add(name, base_url(profile.farp_port) + endpoint_prefix(instance) + "/schemas/" + key);
  }
  if (farp.grpc_reflection) txt.add("farp.grpc.reflection", "true");
  // Some readers use the first key, some the second.
  txt.add_unless_empty("farp.health", health_path(instance));
  txt.add_unless_empty("farp.health.path", health_path(instance));
  txt.add_unless_empty("farp.capabilities", list_of(farp.capabilities));
  txt.add("farp.id", instance.id.text());
  txt.add("farp.service", instance.service.text());
  txt.add("farp.status", instance.health == registry::Health::warning ? "degraded" : "healthy");
  if (profile.compact_txt) return;
  txt.add("farp.version", "1.0.0");
  txt.add_unless_empty("farp.strategy", farp.strategy);
}

}  // namespace

std::string health_path(const Instance& instance) {
  if (!instance.farp->health.empty()) return instance.farp->health;
  for (const registry::CheckState& check : instance.checks)
    if (const auto* http = std::get_if<registry::HttpCheckSpec>(&check.spec.kind);
        http != nullptr && http->url.starts_with('/'))
      return http->url;
  return {};
}

std::string endpoint_prefix(const Instance& instance) {
  return "/_farp/" + instance.service.label() + '/' + instance.id.label();
}

WrittenTxt write_txt(const Instance& instance, std::string_view type,
                     const AnnouncementProfile& profile) {
  TxtBuilder txt(instance.own());
  txt.add("name", instance.service.text());
  txt.add("id", instance.id.text());
  txt.add_unless_empty("version", instance.version);
  txt.add_unless_empty("tags", list_of(instance.tags));
  txt.add("mdns.service_type", type);
  if (instance.own()) txt.add_unless_empty("outrider", profile.host_text);
  if (instance.farp->enabled)
    add_farp(txt, instance, profile);
  else if (instance.health == registry::Health::warning)  // else others take it for passing
    txt.add("farp.status", "degraded");
  if (instance.weight != 100) txt.add("weight", std::to_string(instance.weight));
  if (instance.protocol != "http") txt.add_unless_empty("protocol", instance.protocol);
  for (const auto& [key, value] : instance.metadata)
    if (std::ranges::find(instance.flags, key) != instance.flags.end())
      txt.add_flag(key);
    else
      txt.add(key, value);
  return txt.take();
}

std::vector<std::string> write_txt_at(const Instance& instance, std::string_view type,
                                      const AnnouncementProfile& profile,
                                      const IpAddress& address) {
  std::vector<std::string> strings = write_txt(instance, type, profile).strings;
  const std::string literal =
      address.is_v6() ? '[' + address.to_string() + ']' : address.to_string();
  // In the texts of others the mark means nothing, except in URLs that we made of their paths.
  const std::string made = "=http://" + std::string(kAddressMark) + ':';
  for (std::string& text : strings) {
    const bool made_here = text.starts_with("farp.") && text.find('=') == text.find(made);
    if (instance.own() || made_here) text = replace_all(std::move(text), kAddressMark, literal);
  }
  std::erase_if(strings, [](const std::string& text) { return text.size() > kTxtStringMax; });
  return strings;
}

}  // namespace outrider::farp
