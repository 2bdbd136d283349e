// SPDX-License-Identifier: Apache-2.0
#include "agent/process/identity_record.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"

namespace outrider {
namespace {

constexpr std::size_t kRecordBytesMax = 4U << 10;

std::string machine_of(const HostFacts& facts) {
  std::array<char, 16> digits{};
  const std::uint64_t hash = fnv1a(facts.machine_id + '/' + facts.serial_number);
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), hash, 16).ptr;
  return {digits.data(), end};
}

bool share_a_card(const HostFacts& facts, const IdentityRecord& kept) {
  return std::ranges::any_of(facts.cards, [&kept](const std::string& card) {
    return std::ranges::find(kept.cards, card) != kept.cards.end();
  });
}

bool is_of_this_host(const IdentityRecord& kept, const HostFacts& facts) {
  if (kept.machine != machine_of(facts)) return false;
  const bool same_namespace = kept.namespace_id == facts.namespace_id;
  // Chosen without a card: in another boot, or another container, a copy could not be told apart.
  if (kept.cards.empty()) return same_namespace && kept.boot_id == facts.boot_id;
  // A card is missing, or comes later, when it confirms the record or does not.
  if (facts.cards.empty()) return same_namespace;
  return share_a_card(facts, kept);
}

}  // namespace

IdentityRecord settle_identity(const HostFacts& facts, const std::optional<IdentityRecord>& kept) {
  if (!kept || !is_of_this_host(*kept, facts))
    return {host_identity(facts), machine_of(facts), facts.boot_id, facts.namespace_id,
            facts.cards};
  IdentityRecord record = *kept;
  if (!facts.cards.empty()) record.namespace_id = facts.namespace_id;
  // Those that are present go last, for the first ones leave.
  std::erase_if(record.cards, [&facts](const std::string& card) {
    return std::ranges::find(facts.cards, card) != facts.cards.end();
  });
  record.cards.insert(record.cards.end(), facts.cards.begin(), facts.cards.end());
  if (record.cards.size() > kCardsMax)
    record.cards.erase(record.cards.begin(), record.cards.end() - kCardsMax);
  return record;
}

std::string write_identity(const IdentityRecord& record) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("identity", record.identity).member("machine", record.machine);
  out.member("boot", record.boot_id).member("namespace", record.namespace_id).key("cards");
  out.begin_array();
  for (const std::string& card : record.cards)
    out.value(card);
  out.end_array().end_object();
  return text + '\n';
}

std::optional<IdentityRecord> read_identity(std::string_view text) {
  const auto value = json::parse(text, kRecordBytesMax);
  if (!value) return std::nullopt;
  const auto text_in = [&value](std::string_view key) {
    const json::Value* found = value->find(key);
    const std::string* member = found != nullptr ? found->as_string() : nullptr;
    return member != nullptr ? *member : std::string();
  };
  const json::Value* space = value->find("namespace");
  const json::Value* cards = value->find("cards");
  if (space == nullptr || space->as_int() == nullptr || cards == nullptr ||
      cards->as_array() == nullptr || cards->as_array()->size() > kCardsMax)
    return std::nullopt;
  IdentityRecord record{text_in("identity"),
                        text_in("machine"),
                        text_in("boot"),
                        static_cast<std::uint64_t>(*space->as_int()),
                        {}};
  for (const json::Value& card : *cards->as_array()) {
    if (card.as_string() == nullptr) return std::nullopt;
    record.cards.push_back(*card.as_string());
  }
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const bool good = record.identity.size() == 16 && std::ranges::all_of(record.identity, is_hex);
  return good ? std::optional(std::move(record)) : std::nullopt;
}

}  // namespace outrider
