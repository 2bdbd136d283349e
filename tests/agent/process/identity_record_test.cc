// SPDX-License-Identifier: Apache-2.0
#include "agent/process/identity_record.h"

#include <doctest/doctest.h>

using namespace outrider;

namespace {

/// A host that has no card yet.
HostFacts bare() {
  return {.machine_id = "0123456789abcdef0123456789abcdef",
          .namespace_id = 4'026'531'840,
          .boot_id = "boot-1"};
}

HostFacts with_cards(HostFacts facts, std::vector<std::string> cards) {
  facts.cards = std::move(cards);
  facts.is_permanent = !facts.cards.empty();
  facts.link_address = facts.is_permanent ? facts.cards.front() : "";
  return facts;
}

HostFacts in_boot(HostFacts facts, const char* boot_id) {
  facts.boot_id = boot_id;
  return facts;
}

constexpr const char* kCard = "525400123456";
constexpr const char* kOther = "525400123457";

}  // namespace

TEST_CASE("a card that comes after the agent changes no identity, now or at later starts") {
  const IdentityRecord before = settle_identity(bare(), std::nullopt);
  const IdentityRecord come = settle_identity(with_cards(bare(), {kCard}), before);
  CHECK(come.identity == before.identity);
  // Later boots, in which it comes before the agent, after it, and with a second one.
  for (const std::vector<std::string>& cards :
       {std::vector<std::string>{kCard}, {}, {kOther, kCard}, {}}) {
    const HostFacts later = in_boot(with_cards(bare(), cards), "boot-2");
    CHECK(settle_identity(later, come).identity == before.identity);
  }
  // A card that was seen beside it is proof, too.
  const IdentityRecord both = settle_identity(with_cards(bare(), {kCard, kOther}), come);
  CHECK(settle_identity(with_cards(bare(), {kOther}), both).identity == before.identity);
}

TEST_CASE("with a card the identity is the one without a record, so that nothing changes by it") {
  const HostFacts facts = with_cards(bare(), {kCard});
  CHECK(settle_identity(facts, std::nullopt).identity == host_identity(facts));
}

TEST_CASE("a clone with a copy of the record has an identity of its own") {
  const IdentityRecord known = settle_identity(with_cards(bare(), {kCard}), std::nullopt);
  const IdentityRecord without = settle_identity(bare(), std::nullopt);
  const HostFacts clone = in_boot(with_cards(bare(), {kOther}), "boot-2");
  CHECK(settle_identity(clone, known).identity != known.identity);
  CHECK(settle_identity(clone, without).identity != without.identity);
  // Two clones that both start without their cards.
  const auto a = settle_identity(in_boot(bare(), "boot-a"), without);
  const auto b = settle_identity(in_boot(bare(), "boot-b"), without);
  CHECK(a.identity != b.identity);
  CHECK(a.identity != without.identity);
  // One that starts without its card has the record's until the card comes; it meets no other host.
  const IdentityRecord late = settle_identity(in_boot(bare(), "boot-2"), known);
  CHECK(late.identity == known.identity);
  CHECK(settle_identity(clone, late).identity != known.identity);
  // Equal cards by a shared adapter, on another board.
  HostFacts board = with_cards(bare(), {kCard});
  board.serial_number = "10000000abcdef01";
  CHECK(
      settle_identity(board, settle_identity(with_cards(bare(), {kCard}), std::nullopt)).machine !=
      known.machine);
  HostFacts other_machine = with_cards(bare(), {kCard});
  other_machine.machine_id.back() = '0';
  CHECK(settle_identity(other_machine, known).identity != known.identity);
}

TEST_CASE("a container with a copy of the record has an identity of its own") {
  HostFacts container = bare();
  container.namespace_id += 7;
  container.link_address = "0242ac110002";
  for (const HostFacts& host : {bare(), with_cards(bare(), {kCard})}) {
    const IdentityRecord known = settle_identity(host, std::nullopt);
    CHECK(settle_identity(container, known).identity != known.identity);
  }
  // It keeps its own over restarts of the agent, and when a network is connected to it.
  const IdentityRecord own = settle_identity(container, std::nullopt);
  container.link_address = "0242ac120002";
  CHECK(settle_identity(container, own).identity == own.identity);
}

TEST_CASE("kCardsMax cards are kept, those that are present before all others") {
  IdentityRecord record = settle_identity(with_cards(bare(), {kCard}), std::nullopt);
  for (std::size_t i = 0; i < kCardsMax; ++i)
    record = settle_identity(with_cards(bare(), {std::to_string(i), kCard}), record);
  CHECK(record.cards.size() == kCardsMax);
  CHECK(record.cards.back() == kCard);
  CHECK(record.cards.front() == "1");
  CHECK(settle_identity(with_cards(bare(), {std::to_string(kCardsMax - 1), kCard}), record) ==
        record);
}

TEST_CASE("a record is read as it was written; anything else is none") {
  const IdentityRecord record = settle_identity(with_cards(bare(), {kCard, kOther}), std::nullopt);
  CHECK(read_identity(write_identity(record)) == record);
  CHECK(write_identity(record).find(bare().machine_id) == std::string::npos);
  const std::string good = write_identity(record);
  for (std::size_t size = 0; size + 1 < good.size(); ++size)
    CHECK_FALSE(read_identity(std::string_view(good).substr(0, size)).has_value());
  for (const char* text :
       {"[]", "{}", R"({"identity":"x","machine":"","boot":"","namespace":1,"cards":[]})",
        R"({"identity":"0123456789abcdef","namespace":1,"cards":[3]})",
        R"({"identity":"0123456789abcdef","namespace":"1","cards":[]})"})
    CHECK_FALSE(read_identity(text).has_value());
}
