// SPDX-License-Identifier: Apache-2.0
#include "registries/entry_parts.h"

#include <algorithm>

#include "base/json_members.h"
#include "base/text.h"

namespace outrider::registries {

std::vector<IpAddress> public_addresses(const Entry& entry) {
  std::vector<IpAddress> out;
  for (const IpAddress& address : entry.addresses)
    if ((entry.host_only || !address.is_loopback()) && !address.is_link_local() &&
        !address.is_any() && !address.is_multicast() && out.size() < kEndpointsPerEntryMax)
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
    if (entry.metadata.size() < kMetadataPerEntryMax || key == kViaMark)
      entry.metadata.emplace(key, *text);
  }
}

std::vector<std::string> read_tags(const json::Array& list) {
  std::vector<std::string> tags;
  for (const json::Value& tag : list)
    if (tag.as_string() != nullptr && tags.size() < kTagsPerEntryMax)
      tags.push_back(*tag.as_string());
  return tags;
}

const char* status_of(Health health) {
  return to_string(check_health_of(health));
}

const char* to_string(WrittenKey::State state) {
  switch (state) {
    case WrittenKey::State::waiting:
      return "waiting";
    case WrittenKey::State::written:
      return "written";
    case WrittenKey::State::conflict:
      return "conflict";
    case WrittenKey::State::refused:
      return "refused";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace outrider::registries
