// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/layout.h"

#include <algorithm>

#include "base/json_members.h"
#include "base/text.h"

namespace outrider::registries::etcd {

std::vector<std::unique_ptr<Layout>> make_layouts(const Layouts& layouts) {
  std::vector<std::unique_ptr<Layout>> made;
  if (layouts.kratos) made.push_back(make_kratos(*layouts.kratos));
  if (layouts.goframe) made.push_back(make_goframe(*layouts.goframe));
  if (layouts.gozero) made.push_back(make_gozero(*layouts.gozero));
  if (layouts.forge) made.push_back(make_forge(*layouts.forge));
  return made;
}

std::string as_folder(std::string_view prefix) {
  while (prefix.ends_with('/'))
    prefix.remove_suffix(1);
  return std::string(prefix) + '/';
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff)
    end.pop_back();
  if (end.empty()) return std::string(1, '\0');  // to the very end
  end.back() = static_cast<char>(end.back() + 1);
  return end;
}

std::vector<IpAddress> public_addresses(const Entry& entry) {
  std::vector<IpAddress> out;
  for (const IpAddress& address : entry.addresses)
    if (!address.is_loopback() && !address.is_link_local() && !address.is_any() &&
        !address.is_multicast() && out.size() < kEndpointsPerEntryMax)
      out.push_back(address);
  std::ranges::stable_partition(out, &IpAddress::is_v4);
  return out;
}

namespace {

std::optional<std::string> as_text(const json::Value& value) {
  if (const std::string* text = value.as_string()) return *text;
  if (const bool* flag = value.as_bool()) return *flag ? "true" : "false";
  if (value.as_int() == nullptr && value.as_double() == nullptr) return std::nullopt;
  std::string text;
  json::Writer(text).value(value);
  return text;
}

}  // namespace

void read_metadata(const json::Value* metadata, Entry& entry) {
  const json::Object* members = metadata != nullptr ? metadata->as_object() : nullptr;
  if (members == nullptr) return;
  entry.writer = text_at(*metadata, kWriterMark);
  for (const auto& [key, value] : *members) {
    const auto text = as_text(value);
    if (!text || key == kWriterMark || key == kIdMark) continue;
    if (key == "weight") {
      if (const auto weight = parse_number<std::uint16_t>(*text); weight && *weight > 0)
        entry.weight = *weight;
      if (!entry.writer.empty()) continue;  // the registration had no such metadata
    }
    if (entry.metadata.size() < kMetadataPerEntryMax) entry.metadata.emplace(key, *text);
  }
}

bool is_key_part(std::string_view text) {
  const bool plain =
      !text.empty() && text.find('/') == std::string_view::npos &&
      std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
  if (!plain || text.size() > kKeyBytesMax) return false;
  // JSON replaces what is not UTF-8: the key and the value would have different names.
  std::string written;
  json::Writer(written).value(text);
  const auto read = json::parse(written, json::kBodyBytesMax);
  return read && read->as_string() != nullptr && *read->as_string() == text;
}

}  // namespace outrider::registries::etcd
