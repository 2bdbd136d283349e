// SPDX-License-Identifier: Apache-2.0
// One query as the stub server sees it: parsed in place, nothing allocated, the name folded once.
#pragma once

#include "base/bytes.h"
#include "dns/wire/message_view.h"
#include "dns/wire/name.h"
#include "dns/wire/types.h"

namespace outrider::dns {

enum class QueryFault : std::uint8_t {
  none,
  drop,  // not even a header, or a response: no reply, or two servers could answer each other for
         // ever
  formerr,  // RFC 1035 §4.1.1; more or fewer questions than one (RFC 9619)
  notimp,   // an opcode other than QUERY
  badvers,  // RFC 6891 §6.1.3; the question and edns are filled
};

struct Query {
  /// The bytes must outlive the query. The header is filled for every fault except `drop`.
  QueryFault parse(Bytes bytes);

  /// The name of the question, lower case, with the root.
  Bytes name() const { return {lower, name_size}; }
  /// The same as a value.
  Name to_name() const { return *Name::from_wire(name()); }
  /// Where in name() the last `count` labels begin; only if it has as many.
  std::size_t tail_begin(std::size_t count) const { return labels[label_count - count]; }

  Bytes message;
  Header header;
  RrType type = RrType::a;
  RrClass rr_class = RrClass::in;
  Bytes question;  // as it came, to echo: 0x20 case and all
  bool has_edns = false;
  Edns edns;

  std::uint8_t label_count = 0;  // without the root
  std::uint8_t name_size = 0;
  std::uint8_t labels[kNameBytesMax / 2 + 1];  // where each begins, the root's last
  std::uint8_t lower[kNameBytesMax];

 private:
  bool parse_question(ByteReader& reader);
  bool parse_edns(ByteReader& reader);
};

}  // namespace outrider::dns
