// SPDX-License-Identifier: Apache-2.0
#include "registries/host/entry_reader.h"

#include "base/json_members.h"

namespace outrider::registries {
namespace {

std::uint16_t number_at(const json::Value& object, std::string_view key, std::uint16_t fallback) {
  const json::Value* member = object.find(key);
  const std::int64_t* number = member != nullptr ? member->as_int() : nullptr;
  const bool fits = number != nullptr && *number >= 0 && *number <= 0xffff;
  return fits ? static_cast<std::uint16_t>(*number) : fallback;
}

std::vector<std::string> texts_at(const json::Value& object, std::string_view key) {
  std::vector<std::string> texts;
  for (const json::Value& each : list_at(object, key))
    if (const std::string* text = each.as_string(); text && texts.size() < kTagsPerEntryMax)
      texts.push_back(*text);
  return texts;
}

}  // namespace

const char* to_string(PlaceState state) {
  switch (state) {
    case PlaceState::connecting:
      return "connecting";
    case PlaceState::current:
      return "current";
    case PlaceState::behind:
      return "behind";
    case PlaceState::gone:
      return "gone";
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<Entry> read_entry(const json::Value& instance, const std::string& place) {
  if (text_at(instance, "source") != "own") return std::nullopt;
  Entry entry{.key = {}, .place = place, .service = text_at(instance, "service")};
  entry.id = text_at(instance, "id");
  if (entry.service.empty() || entry.id.empty()) return std::nullopt;
  entry.key = place + ' ' + entry.service + ' ' + entry.id;
  entry.version = text_at(instance, "version");
  entry.port = number_at(instance, "port", 0);
  for (const json::Value& each : list_at(instance, "addresses")) {
    const auto address = IpAddress::parse(each.as_string() != nullptr ? *each.as_string() : "");
    if (address && entry.addresses.size() < kAddressesPerEntryMax)
      entry.addresses.push_back(*address);
  }
  entry.protocol = text_at(instance, "protocol");
  entry.tags = texts_at(instance, "tags");
  entry.subtypes = texts_at(instance, "subtypes");
  const json::Value* metadata = instance.find("metadata");
  if (const json::Object* members = metadata != nullptr ? metadata->as_object() : nullptr)
    for (const auto& [key, value] : *members)
      if (value.as_string() != nullptr && entry.metadata.size() < kMetadataPerEntryMax)
        entry.metadata.emplace(key, *value.as_string());
  entry.weight = number_at(instance, "weight", 100);
  // An unknown word comes from a later version: critical is the safe reading.
  entry.health = parse_health(text_at(instance, "health")).value_or(Health::critical);
  entry.maintenance_reason = text_at(instance, "maintenance_reason");
  for (const json::Value& check : list_at(instance, "checks"))
    if (entry.checks.size() < kChecksPerEntryMax)
      entry.checks.push_back(
          {text_at(check, "id"), text_at(check, "name"), text_at(check, "kind"),
           parse_check_health(text_at(check, "health")).value_or(CheckHealth::critical),
           text_at(check, "output")});
  entry.local_name = text_at(instance, "local_name");
  entry.limit = text_at(instance, "limit");
  entry.advice = text_at(instance, "advice");
  entry.host_only = text_at(instance, "scope") == "host";
  entry.on_this_host = true;
  return entry;
}

}  // namespace outrider::registries
