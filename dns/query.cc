// SPDX-License-Identifier: Apache-2.0
#include "dns/query.h"

namespace outrider::dns {
bool Query::parse_question(ByteReader& reader) {
  const std::size_t start = reader.position();
  label_count = 0;
  for (;;) {
    const std::size_t at = reader.position() - start;
    const std::size_t length = reader.u8();
    // No compression: there is nothing before the question that a pointer could refer to.
    if (!reader.ok() || length > kLabelBytesMax || at + length + 1 > kNameBytesMax) return false;
    labels[label_count] = static_cast<std::uint8_t>(at);
    if (length == 0) break;
    ++label_count;
    reader.skip(length);
  }
  name_size = static_cast<std::uint8_t>(reader.position() - start);
  type = static_cast<RrType>(reader.u16());
  rr_class = static_cast<RrClass>(reader.u16());
  if (!reader.ok()) return false;
  question = message.subspan(start, name_size + 4U);
  for (std::size_t i = 0; i < name_size; ++i)
    lower[i] = fold(question[i]);
  return true;
}

bool Query::parse_edns(ByteReader& reader) {
  has_edns = false;
  if (header.answers == 0 && header.authorities == 0) {
    if (header.additionals == 0) return reader.left() == 0;
    // What nearly every client sends: one OPT and nothing else.
    ByteReader quick = reader;
    const bool at_root = quick.u8() == 0;
    const auto found = static_cast<RrType>(quick.u16());
    edns = read_opt(quick);
    if (header.additionals == 1 && at_root && found == RrType::opt && quick.ok()) {
      has_edns = true;
      return quick.left() == 0 && options_fit(edns.options);
    }
  }
  const auto view = MessageView::parse(message);
  if (!view) return false;
  const auto walked = view->edns();
  if (!walked) return false;
  has_edns = walked->has_value();
  edns = walked->value_or(Edns{});
  return options_fit(edns.options);
}

QueryFault Query::parse(Bytes bytes) {
  message = bytes;
  const auto parsed = MessageView::parse_header(bytes);
  if (!parsed || parsed->flags.response) return QueryFault::drop;
  header = *parsed;
  question = {};
  name_size = 0;
  label_count = 0;
  has_edns = false;
  if (header.flags.opcode != Opcode::query) return QueryFault::notimp;
  ByteReader reader(bytes);
  reader.seek(kHeaderBytes);
  if (header.questions != 1 || !parse_question(reader)) {
    question = {};
    return QueryFault::formerr;
  }
  if (!parse_edns(reader)) {
    question = {};
    has_edns = false;
    return QueryFault::formerr;
  }
  return has_edns && edns.version > 0 ? QueryFault::badvers : QueryFault::none;
}

}  // namespace outrider::dns
