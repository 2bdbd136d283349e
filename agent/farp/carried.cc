// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/carried.h"

#include <algorithm>

#include "agent/farp/txt.h"
#include "base/address.h"
#include "base/text.h"

namespace outrider::farp {
namespace {

constexpr std::string_view kMeta = "meta";
constexpr std::string_view kTags = "tags";

bool is_key_octet(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}
bool is_tag_octet(char c) {
  return c > 0x20 && c < 0x7f && c != ',';
}

std::string numbered(std::string_view name, std::size_t number) {
  return std::string(name) + '+' + std::to_string(number);
}

/// The front of `value` that goes into one string: at most `room` octets, and no whole mark.
std::size_t front_of(std::string_view value, std::size_t room) {
  const std::string_view front = value.substr(0, room);
  const std::size_t mark = front.find(kAddressMark);
  return mark == std::string_view::npos ? front.size() : mark + 1;
}

/// `key_of(n)` is the key of the string number n.
template <class KeyOf>
std::optional<Strings> cut_up(std::string_view value, KeyOf key_of) {
  Strings out;
  do {
    std::string key = key_of(out.size());
    if (key.size() + 2 > kTxtStringMax) return std::nullopt;
    const std::size_t size = front_of(value, kTxtStringMax - key.size() - 1);
    out.emplace_back(std::move(key), value.substr(0, size));
    value.remove_prefix(size);
  } while (!value.empty());
  return out;
}

/// "meta+2.KEY" and "tags+2": the number after the name, 0 without; and what follows.
std::optional<std::pair<unsigned, std::string_view>> parse_numbered(std::string_view key,
                                                                    std::string_view name) {
  if (!key.starts_with(name)) return std::nullopt;
  key.remove_prefix(name.size());
  if (key.empty() || key.front() != '+') return std::pair(0U, key);
  const std::string_view digits = key.substr(1, key.find_first_not_of("0123456789", 1) - 1);
  const auto number = parse_number<std::uint8_t>(digits);
  if (!number) return std::nullopt;
  return std::pair(unsigned{*number}, key.substr(1 + digits.size()));
}

}  // namespace

bool is_plain(std::string_view key, std::string_view value) {
  const bool clean = !key.empty() && std::ranges::all_of(key, [](char c) {
    return c > 0x20 && c < 0x7f && c != '=';
  });
  const std::string folded = lowered(key);
  const bool ours =
      folded.starts_with("meta.") || folded.starts_with("meta+") || folded.starts_with("tags+");
  return clean && !ours && !is_reserved_key(key) && key.size() + 1 + value.size() <= kTxtStringMax;
}

bool are_plain(const std::vector<std::string>& tags) {
  std::size_t size = std::string_view("tags=").size();
  for (const std::string& tag : tags) {
    if (tag.empty() || tag.find(',') != std::string::npos) return false;
    size += tag.size() + 1;
  }
  // With one comma less than there are tags.
  return size <= kTxtStringMax + 1;
}

std::optional<Strings> carry_metadata(std::string_view key, std::string_view value) {
  const std::string escaped = '.' + percent_encode(key, is_key_octet);
  return cut_up(value, [&](std::size_t number) {
    return (number == 0 ? std::string(kMeta) : numbered(kMeta, number)) + escaped;
  });
}

Strings carry_tags(const std::vector<std::string>& tags) {
  std::string list;
  for (const std::string& tag : tags)
    list += (&tag == tags.data() ? "" : ",") + percent_encode(tag, is_tag_octet);
  return *cut_up(list, [](std::size_t number) { return numbered(kTags, number); });
}

bool CarriedReader::take(std::string_view key, std::string_view value) {
  if (const auto part = parse_numbered(key, kTags); part && part->second.empty() && key != kTags) {
    tags_.try_emplace(part->first, value);
    return true;
  }
  const auto part = parse_numbered(key, kMeta);
  if (!part || !part->second.starts_with('.') || part->second.size() < 2) return false;
  metadata_[percent_decode(part->second.substr(1))].try_emplace(part->first, value);
  return true;
}

std::optional<std::string> CarriedReader::whole(const Parts& parts) {
  std::string out;
  unsigned next = 0;
  for (const auto& [number, text] : parts) {
    if (number != next++) return std::nullopt;
    out += text;
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> CarriedReader::metadata() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& [key, parts] : metadata_)
    if (auto value = whole(parts)) out.emplace_back(key, std::move(*value));
  return out;
}

std::optional<std::vector<std::string>> CarriedReader::tags() const {
  if (tags_.empty()) return std::nullopt;
  const auto list = whole(tags_);
  if (!list) return std::nullopt;
  std::vector<std::string> out;
  std::string_view left = *list;
  for (;;) {
    const std::size_t comma = left.find(',');
    out.push_back(percent_decode(left.substr(0, comma)));
    if (comma == std::string_view::npos) return out;
    left.remove_prefix(comma + 1);
  }
}

}  // namespace outrider::farp
