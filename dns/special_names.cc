// SPDX-License-Identifier: Apache-2.0
#include "dns/special_names.h"

#include <algorithm>

namespace outrider::dns {
namespace {

struct SpecialName {
  Name suffix;
  SpecialUse use;
};

std::span<const SpecialName> special_names() {
  static const SpecialName kNames[] = {
      {*Name::parse("arpa"), SpecialUse::reverse},
      {*Name::parse("localhost"), SpecialUse::loopback},
      {*Name::parse("local"), SpecialUse::multicast},
      {*Name::parse("invalid"), SpecialUse::nonexistent},  // RFC 6761 §6.4
      {*Name::parse("onion"), SpecialUse::nonexistent},    // RFC 7686 §2
  };
  return kNames;
}

/// `suffix` is in lower case.
bool ends_in(const Query& query, const Name& suffix) {
  const std::size_t labels = suffix.label_count();
  return query.label_count >= labels &&
         std::ranges::equal(query.name().subspan(query.tail_begin(labels)), suffix.wire());
}

}  // namespace

std::optional<SpecialUse> special_use(const Query& query) {
  for (const SpecialName& name : special_names())
    if (ends_in(query, name.suffix)) return name.use;
  return std::nullopt;
}

bool asks_version(const Query& query) {
  static const Name kVersionBind = *Name::parse("version.bind");
  static const Name kVersionServer = *Name::parse("version.server");
  const bool txt = query.type == RrType::txt || query.type == RrType::any;
  return txt && (std::ranges::equal(query.name(), kVersionBind.wire()) ||
                 std::ranges::equal(query.name(), kVersionServer.wire()));
}

}  // namespace outrider::dns
