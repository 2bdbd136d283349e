// SPDX-License-Identifier: Apache-2.0
// Questions and records as scenario files write them, to be sent or to be looked for:
//
//   ? OWNER TYPE [QU]                       a question
//   = OWNER TTL [flush|noflush] TYPE DATA   a record: "=" answer, "!" authority, "+" additional,
//                                           "&" answer or additional
//   -= …  -? …                              looked for: none such
//
// In what is looked for "*" is anything and a TTL may be ">0" or "<=10". $NAME in the place of an
// owner or of a name in DATA is whatever is found there first, and the same from then on; in what
// is sent it stands for that. DATA by type: PTR NAME · SRV PRIORITY WEIGHT PORT NAME · A ADDRESS ·
// TXT STRING… ("-": an empty one) · NSEC NAME TYPE… · others: hexadecimal octets. "same" instead of
// the DATA to be sent: as the device said it last.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/mdns/message.h"

namespace outrider::mdns {

/// What $NAME stands for.
using Names = std::map<std::string, dns::Name>;
using Words = std::vector<std::string>;

struct Item {
  char section = '=';
  bool absent = false;
  std::string owner;
  std::string ttl;    // "*", "75", ">0", "<=10"
  std::string flush;  // "", "flush", "noflush"
  bool unicast = false;
  dns::RrType type = dns::RrType::any;
  bool any_type = false;
  Words data;
};

/// Takes the items from words[at] on, which must be a marker; an error is what is wrong.
std::string parse_items(const Words& words, std::size_t at, std::vector<Item>& items);

/// True if the message has it (or, if it is to be absent, has not). Names that are not known yet
/// become known.
bool matches(const Item& item, const Message& message, Names& names);

/// To be sent; `heard` is where "same" looks, the latest last. An error is what is wrong.
std::string build(const Item& item, const Names& names, const std::vector<Message>& heard,
                  Sent& sent);

/// One line for people.
std::string to_string(const Message& message);

}  // namespace outrider::mdns
