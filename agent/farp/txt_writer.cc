// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/txt_writer.h"

#include <algorithm>

#include "agent/farp/carried.h"
#include "agent/farp/txt.h"
#include "agent/registry/name_grammar.h"
#include "base/text.h"

namespace outrider::farp {
namespace {

using registry::Instance;

constexpr std::size_t kTxtTotalMax = 1'100;  // as mdns/provider.h allows
constexpr std::size_t kAddressTextMax = 41;  // "[…]" around the longest IPv6 text
constexpr std::uint16_t kLongestPort = 65535;

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size())
    ++count;
  return count;
}

/// Keys are printable ASCII without '=' (RFC 6763 §6.4), each occurs once, and every string fits.
class TxtBuilder {
 public:
  /// `marked`: "{address}" will be replaced, which the writer puts where an address belongs.
  explicit TxtBuilder(bool marked) : marked_(marked) {}
  void add(std::string_view key, std::string_view value) {
    add_string(key, std::string(key) + '=' + std::string(value));
  }
  /// Whether a part of the text would be replaced by an address. What was registered must not be.
  bool replaces(std::string_view text) const {
    return marked_ && text.find(kAddressMark) != std::string_view::npos;
  }
  /// A text of a registration.
  void add_given(std::string_view key, std::string_view value) {
    if (replaces(value))
      txt_.left_out.emplace_back(key);
    else if (!value.empty())
      add(key, value);
  }
  void add_flag(std::string_view key) { add_string(key, std::string(key)); }
  void add_unless_empty(std::string_view key, std::string_view value) {
    if (!value.empty()) add(key, value);
  }
  /// All of them, or that the metadata of this name is left out.
  void add_carried(std::string_view name, const std::optional<Strings>& strings) {
    std::size_t bytes = bytes_;
    if (strings)
      for (const auto& [key, value] : *strings)
        bytes += key.size() + value.size() + 2;
    if (!strings || bytes > kTxtTotalMax) {
      txt_.left_out.emplace_back(name);
      return;
    }
    for (const auto& [key, value] : *strings)
      add(key, value);
  }
  /// In any case: to readers of TXT, keys that differ by case alone are one.
  bool has(std::string_view key) const {
    return std::ranges::any_of(keys_, [&](const auto& each) { return equal_fold(each, key); });
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
    if (!clean || has(key) || size + marks > kTxtStringMax ||
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

/// As they are if every reader then reads them so. Else what fits for others, and all for us.
void add_tags(TxtBuilder& txt, const std::vector<std::string>& tags) {
  const std::string list = join(tags, ",");
  if (are_plain(tags) && !txt.replaces(list)) return txt.add_unless_empty("tags", list);
  std::vector<std::string> some;
  for (const std::string& tag : tags) {
    some.push_back(tag);
    if (!are_plain(some) || txt.replaces(tag)) some.pop_back();
  }
  txt.add_unless_empty("tags", join(some, ","));
  txt.add_carried("tags", carry_tags(tags));
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

bool fits_into_txt(const registry::ServiceSpec& spec, const registry::InstanceId& id,
                   const AnnouncementProfile& profile) {
  AnnouncementProfile worst = profile;
  if (profile.has_endpoints) worst.farp_port = kLongestPort;
  Instance instance{.id = id, .service = spec.name};
  instance.description() = spec.description();
  instance.health = registry::Health::warning;  // "degraded", which is said before the metadata
  for (const registry::CheckSpec& check : spec.checks)
    instance.checks.push_back({.spec = check});
  std::string longest = registry::write_name(registry::NameForm::type, spec.name.label());
  for (const std::string& type : profile.shared_types)
    if (type.size() > longest.size()) longest = type;
  return write_txt(instance, longest, worst).left_out.empty();
}

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
  const bool copied = !profile.via.empty();
  TxtBuilder txt(instance.own() || copied);
  txt.add_given("name", instance.service.text());
  txt.add_given("id", instance.id.text());
  txt.add_given("version", instance.version);
  add_tags(txt, instance.tags);
  txt.add("mdns.service_type", type);
  if (instance.own()) txt.add_unless_empty("outrider", profile.host_text);
  if (copied) {
    // Even empty: by this key agents know what they take for a service.
    txt.add("outrider", profile.host_text);
    txt.add(kViaKey, profile.via);
  }
  if (instance.farp->enabled)
    add_farp(txt, instance, profile);
  else if (instance.health == registry::Health::warning)  // else others take it for passing
    txt.add("farp.status", "degraded");
  if (instance.weight != 100) txt.add("weight", std::to_string(instance.weight));
  if (instance.protocol != "http") txt.add_unless_empty("protocol", instance.protocol);
  for (const auto& [key, value] : instance.metadata) {
    const bool plain = is_plain(key, value) && !txt.has(key) && !txt.replaces(key + '=' + value);
    if (std::ranges::find(instance.flags, key) != instance.flags.end())
      txt.add_flag(key);
    else if (plain)
      txt.add(key, value);
    else
      txt.add_carried(key, carry_metadata(key, value));
  }
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
