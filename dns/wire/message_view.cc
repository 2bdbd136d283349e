// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/message_view.h"

#include "dns/wire/rdata.h"

namespace outrider::dns {
namespace {

constexpr std::uint16_t kTopBit = 0x8000;

bool read_question(ByteReader& reader, Question& question) {
  auto name = Name::read(reader, kHeaderBytes);
  if (!name) return false;
  question.name = *name;
  question.type = static_cast<RrType>(reader.u16());
  const std::uint16_t bits = reader.u16();
  question.unicast_response = (bits & kUnicastResponseBit) != 0;
  question.rr_class = static_cast<RrClass>(bits & ~kTopBit);
  return reader.ok();
}

/// RFC 2181 §8.
Ttl sane_ttl(std::uint32_t ttl) {
  return (ttl & 0x8000'0000U) != 0 ? 0 : ttl;
}

/// Passes a name without looking behind its pointers.
void skip_name(ByteReader& reader) {
  for (;;) {
    const std::uint8_t length = reader.u8();
    if (!reader.ok() || length == 0) return;
    if (length > kLabelBytesMax) {
      if ((length & 0xc0) != 0xc0) reader.fail();
      reader.skip(1);
      return;
    }
    reader.skip(length);
  }
}

}  // namespace

const char* to_string(WireError error) {
  switch (error) {
    case WireError::short_header:
      return "shorter than a header";
    case WireError::bad_question:
      return "malformed question";
    case WireError::bad_record:
      return "malformed record";
    case WireError::bad_name:
      return "malformed name";
    case WireError::bad_rdata:
      return "malformed RDATA";
    case WireError::trailing_bytes:
      return "octets after the last record";
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<Header> MessageView::parse_header(Bytes bytes) {
  ByteReader reader(bytes);
  Header header;
  header.id = reader.u16();
  header.flags = Flags::from_bits(reader.u16());
  header.questions = reader.u16();
  header.answers = reader.u16();
  header.authorities = reader.u16();
  header.additionals = reader.u16();
  if (!reader.ok()) return std::nullopt;
  return header;
}

Result<MessageView, WireError> MessageView::parse(Bytes bytes) {
  const auto header = parse_header(bytes);
  if (!header) return failure(WireError::short_header);
  MessageView view;
  view.bytes_ = bytes;
  view.header_ = *header;
  ByteReader reader(bytes);
  reader.seek(kHeaderBytes);
  Question other;
  for (unsigned i = 0; i < header->questions; ++i) {
    if (!read_question(reader, i == 0 ? view.question_ : other))
      return failure(WireError::bad_question);
    if (i == 0) view.question_end_ = reader.position();
  }
  view.records_begin_ = reader.position();
  return view;
}

std::vector<Question> MessageView::questions() const {
  std::vector<Question> all;
  ByteReader reader(bytes_);
  reader.seek(kHeaderBytes);
  Question question;
  while (reader.position() < records_begin_ && read_question(reader, question))
    all.push_back(question);
  return all;
}

Bytes MessageView::question_wire() const {
  return bytes_.subspan(kHeaderBytes, question_end_ - kHeaderBytes);
}

RecordCursor MessageView::records() const {
  ByteReader reader(bytes_);
  reader.seek(records_begin_);
  return RecordCursor(reader, header_);
}

RecordCursor::RecordCursor(ByteReader reader, const Header& header)
    : reader_(reader), left_{header.answers, header.authorities, header.additionals} {}

std::optional<SectionRecord> RecordCursor::next() {
  for (;;) {
    bool skipped = false;
    auto found = read(&skipped);
    if (!skipped) return found;
  }
}

std::optional<SectionRecord> RecordCursor::read(bool* skipped) {
  std::size_t section = 0;
  while (section < 3 && left_[section] == 0)
    ++section;
  if (section == 3 || failed_) return std::nullopt;
  --left_[section];

  const auto fail = [this](WireError error) {
    failed_ = true;
    error_ = error;
    return std::nullopt;
  };
  SectionRecord found;
  found.section = static_cast<Section>(section);
  found.offset = reader_.position();
  auto name = Name::read(reader_, kHeaderBytes);
  if (!name) return fail(WireError::bad_name);
  Record& record = found.record;
  record.name = *name;
  record.type = static_cast<RrType>(reader_.u16());
  const std::uint16_t class_bits = reader_.u16();
  found.ttl_offset = reader_.position();
  const std::uint32_t ttl = reader_.u32();
  const std::size_t length = reader_.u16();
  if (!reader_.ok() || length > reader_.left()) return fail(WireError::bad_record);
  if (record.type == RrType::opt) {  // the class is a size and the TTL holds flags (RFC 6891)
    record.rr_class = static_cast<RrClass>(class_bits);
    record.ttl = ttl;
  } else {
    record.cache_flush = (class_bits & kCacheFlushBit) != 0;
    record.rr_class = static_cast<RrClass>(class_bits & ~kTopBit);
    record.ttl = sane_ttl(ttl);
  }
  const ByteReader at_rdata = reader_;
  auto data = read_rdata(reader_, record.type, record.rr_class, length);
  if (!data && skip_bad_rdata_) {
    *skipped = true;
    reader_ = at_rdata;
    reader_.take(length);
    return std::nullopt;
  }
  if (!data) return fail(WireError::bad_rdata);
  record.data = std::move(*data);
  return found;
}

Result<std::optional<Edns>, WireError> MessageView::edns() const {
  std::optional<Edns> found;
  ByteReader reader(bytes_);
  reader.seek(records_begin_);
  const std::uint32_t before = std::uint32_t{header_.answers} + header_.authorities;
  const std::uint32_t all = before + header_.additionals;
  for (std::uint32_t i = 0; i < all; ++i) {
    const std::size_t start = reader.position();
    skip_name(reader);
    const bool at_root = reader.position() == start + 1;
    const auto type = static_cast<RrType>(reader.u16());
    const Edns edns = read_opt(reader);  // every record has this frame
    if (!reader.ok()) return failure(WireError::bad_record);
    if (type != RrType::opt) continue;
    if (found || i < before || !at_root) return failure(WireError::bad_record);
    found = edns;
  }
  if (reader.left() != 0) return failure(WireError::trailing_bytes);
  return found;
}

}  // namespace outrider::dns
