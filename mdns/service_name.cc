// SPDX-License-Identifier: Apache-2.0
#include "mdns/service_name.h"

#include <algorithm>

#include "base/hash.h"
#include "base/text.h"

namespace outrider::mdns {
namespace {

bool letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// RFC 6763 §7 and RFC 6335 §5.1, but more than 15 characters are accepted, since peers use them.
bool service_label(std::string_view label) {
  if (label.size() < 2 || label.size() > dns::kLabelBytesMax || label[0] != '_') return false;
  return std::all_of(label.begin() + 1, label.end(),
                     [](char c) { return letter_or_digit(c) || c == '-'; });
}

bool protocol_label(std::string_view label) {
  return equal_fold(label, "_tcp") || equal_fold(label, "_udp");
}

/// UTF-8 of RFC 3629, without control characters (RFC 6763 §4.1.1).
bool good_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x20 || lead == 0x7f) return false;
    std::size_t more = 0;
    std::uint32_t code = lead;
    std::uint32_t least = 0;
    if (lead >= 0xf0 && lead < 0xf5)
      more = 3, code = lead & 0x07U, least = 0x1'0000;
    else if (lead >= 0xe0 && lead < 0xf0)
      more = 2, code = lead & 0x0fU, least = 0x800;
    else if (lead >= 0xc2 && lead < 0xe0)
      more = 1, code = lead & 0x1fU, least = 0x80;
    else if (lead >= 0x80)
      return false;
    if (text.size() - i <= more) return false;
    for (std::size_t j = 1; j <= more; ++j) {
      const auto next = static_cast<unsigned char>(text[i + j]);
      if ((next & 0xc0U) != 0x80) return false;
      code = code << 6 | (next & 0x3fU);
    }
    if (code < least || code > 0x10'ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += more + 1;
  }
  return true;
}

/// RFC 1123 §2.1.
bool is_host_label(std::string_view label) {
  return !label.empty() && label.size() <= dns::kLabelBytesMax && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return letter_or_digit(c) || c == '-';
         });
}

std::optional<PublishError> check_txt(const std::vector<std::string>& txt) {
  std::size_t bytes = 0;
  for (const std::string& string : txt) {
    // RFC 6763 §6.1, §6.4: at most 255 octets, and a key that is not empty.
    if (string.empty() || string.size() > 255 || string[0] == '=') return PublishError::bad_txt;
    const std::string_view key = std::string_view(string).substr(0, string.find('='));
    if (!std::all_of(key.begin(), key.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }))
      return PublishError::bad_txt;
    bytes += string.size() + 1;
  }
  if (bytes > kTxtBytesMax) return PublishError::txt_too_long;
  return std::nullopt;
}

}  // namespace

const dns::Name& local_domain() {
  static const dns::Name name = *dns::Name::parse("local.");
  return name;
}

const dns::Name& services_name() {
  static const dns::Name name = *dns::Name::parse("_services._dns-sd._udp.local.");
  return name;
}

std::optional<dns::Name> type_name(std::string_view type) {
  const std::size_t dot = type.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view service = type.substr(0, dot);
  const std::string_view protocol = type.substr(dot + 1);
  if (!service_label(service) || !protocol_label(protocol)) return std::nullopt;
  return dns::Name::from_labels({service, protocol, "local"});
}

std::optional<dns::Name> subtype_name(std::string_view subtype, const dns::Name& type) {
  const auto sub = type.child("_sub");
  return sub ? sub->child(subtype) : std::nullopt;
}

std::optional<dns::Name> host_name(std::string_view host) {
  const auto name = dns::Name::parse(host);
  if (!name || name->is_root()) return std::nullopt;
  if (name->label_count() == 1) return local_domain().child(name->label(0));
  if (!name->is_under(local_domain())) return std::nullopt;
  return name;
}

std::optional<ServiceType> type_of(const dns::Name& name) {
  if (name.label_count() != 3 || !equal_fold(name.label(2), "local")) return std::nullopt;
  if (!service_label(name.label(0)) || !protocol_label(name.label(1))) return std::nullopt;
  return lowered(name.label(0)) + "." + lowered(name.label(1));
}

std::string bare_type(std::string_view type) {
  if (type.starts_with('_')) type.remove_prefix(1);
  return std::string(type.substr(0, type.find('.')));
}

std::optional<SightingKey> key_of(const dns::Name& instance) {
  if (instance.label_count() != 4) return std::nullopt;
  auto type = type_of(instance.parent());
  if (!type) return std::nullopt;
  return SightingKey{std::move(*type), std::string(instance.label(0))};
}

std::optional<PublishError> check(const Announcement& announcement) {
  const std::string& label = announcement.label;
  if (announcement.is_name()) {
    const bool fits = is_host_label(label) &&
                      (announcement.preferred.empty() || is_host_label(announcement.preferred));
    return fits ? std::nullopt : std::optional(PublishError::bad_label);
  }
  if (label.empty() || label.size() > dns::kLabelBytesMax || !good_utf8(label))
    return PublishError::bad_label;
  const auto type = type_name(announcement.type);
  if (!type) return PublishError::bad_type;
  if (announcement.subtypes.size() > kSubtypesMax) return PublishError::bad_type;
  std::vector<dns::Name> subtypes;
  for (const std::string& subtype : announcement.subtypes) {
    const auto name = good_utf8(subtype) ? subtype_name(subtype, *type) : std::nullopt;
    if (!name || std::find(subtypes.begin(), subtypes.end(), *name) != subtypes.end())
      return PublishError::bad_type;
    subtypes.push_back(*name);
  }
  if (!type->child(label)) return PublishError::bad_label;
  return check_txt(announcement.txt);
}

std::string host_label(std::string_view host, std::string_view cookie) {
  static constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::string label;
  for (const char c : host.substr(0, host.find('.'))) {
    if (label.size() == 48) break;
    if (letter_or_digit(c))
      label += lower(c);
    else if (!label.empty() && label.back() != '-')
      label += '-';
  }
  while (!label.empty() && label.back() == '-')
    label.pop_back();
  if (label.empty()) label = "host";
  label += '-';
  const std::uint64_t hash = fnv1a(std::string(host) + '\0' + std::string(cookie));
  for (unsigned shift = 0; shift < 40; shift += 5)
    label += kDigits[hash >> (shift + 24) & 31U];
  return label;
}

std::string host_label(std::string_view host, std::string_view cookie,
                       const std::vector<IpAddress>& addresses) {
  if (addresses.empty()) return host_label(host, cookie);
  std::string text(cookie);
  text += '\0';
  for (const IpAddress& address : addresses)
    text += address.to_string() + ' ';
  return host_label(host, text);
}

std::vector<std::string> with_address(std::vector<std::string> txt, const IpAddress& address) {
  std::string text = address.with_scope(0).to_string();
  if (address.is_v6()) text = '[' + text + ']';
  for (std::string& string : txt)
    string = replace_all(std::move(string), kAddressMark, text);
  return txt;
}

std::string next_label(const std::string& base, unsigned number) {
  const std::string suffix = "-" + std::to_string(number);
  std::size_t keep = std::min(base.size(), dns::kLabelBytesMax - suffix.size());
  while (keep > 0 && keep < base.size() && (static_cast<unsigned char>(base[keep]) & 0xc0U) == 0x80)
    --keep;
  return base.substr(0, keep) + suffix;
}

}  // namespace outrider::mdns
