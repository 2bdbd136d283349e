// SPDX-License-Identifier: Apache-2.0
#include "base/protobuf.h"

#include <array>

namespace outrider::protobuf {
namespace {

constexpr std::size_t kVarintBytesMax = 10;
constexpr std::uint32_t kBytesType = 2;

using VarintRoom = std::array<std::uint8_t, kVarintBytesMax>;

std::string_view encode_varint(std::uint64_t value, VarintRoom& room) {
  ByteWriter writer(room);
  for (; value >= 0x80; value >>= 7)
    writer.u8(static_cast<std::uint8_t>(value | 0x80));
  writer.u8(static_cast<std::uint8_t>(value));
  return as_text(writer.written());
}

}  // namespace

// --- Reader -----------------------------------------------------------------------------------

std::uint64_t Reader::varint(ByteReader& from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kVarintBytesMax; ++i) {
    const std::uint8_t octet = from.u8();
    if (i == kVarintBytesMax - 1 && octet > 1) from.fail();  // beyond 64 bits
    if (!from.ok()) return 0;
    value |= std::uint64_t{octet & 0x7fU} << (7 * i);
    if (octet < 0x80) return value;
  }
  return value;
}

bool Reader::next() {
  if (!ok() || bytes_.left() == 0) return false;
  const std::uint64_t tag = varint(bytes_);
  if (tag > UINT32_MAX || tag >> 3 == 0) fail();
  field_ = static_cast<std::uint32_t>(tag >> 3);
  type_ = static_cast<Type>(tag & 7);
  number_ = 0;
  value_ = {};
  switch (tag & 7) {
    case static_cast<std::uint64_t>(Type::varint):
      number_ = varint(bytes_);
      break;
    case static_cast<std::uint64_t>(Type::fixed64):
      value_ = bytes_.take(8);
      break;
    case static_cast<std::uint64_t>(Type::fixed32):
      value_ = bytes_.take(4);
      break;
    case static_cast<std::uint64_t>(Type::bytes):
      value_ = bytes_.take(static_cast<std::size_t>(varint(bytes_)));
      break;
    default:  // groups, which proto3 has dropped, and two that never were
      fail();
  }
  return ok();
}

std::uint64_t Reader::u64() {
  if (type_ != Type::varint) fail();
  return number_;
}

Bytes Reader::bytes() {
  if (type_ == Type::bytes) return value_;
  fail();
  return {};
}

// --- Writer -----------------------------------------------------------------------------------

void Writer::tag(std::uint32_t field, std::uint32_t type) {
  varint(std::uint64_t{field} << 3 | type);
}

void Writer::varint(std::uint64_t value) {
  VarintRoom room;
  out_ += encode_varint(value, room);
}

void Writer::each_u64(std::uint32_t field, std::uint64_t value) {
  tag(field, 0);
  varint(value);
}

void Writer::each_text(std::uint32_t field, std::string_view value) {
  tag(field, kBytesType);
  varint(value.size());
  out_ += value;
}

std::size_t Writer::begin_message(std::uint32_t field) {
  tag(field, kBytesType);
  out_ += '\0';  // its length, if one octet is enough
  return out_.size();
}

void Writer::end_message(std::size_t start) {
  VarintRoom room;
  out_.replace(start - 1, 1, encode_varint(out_.size() - start, room));
}

}  // namespace outrider::protobuf
