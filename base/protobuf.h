// SPDX-License-Identifier: Apache-2.0
// Protocol Buffers on the wire, for messages that are coded by hand.
//
//   Reader reader(bytes);                  Writer writer;
//   while (reader.next())                  writer.text(1, key);
//     switch (reader.field()) {            writer.message(2, [&](Writer& kv) { kv.i64(1, 5); });
//       case 1:                            send(writer.take());
//         key = reader.text();
//         break;
//       case 2:
//         reader.message([&](Reader& kv) { … });
//     }
//   if (!reader.ok()) …
//
// Fields that are not asked for are skipped. Groups, field numbers and lengths beyond what the
// format has, and messages deeper than kDepthMax are errors; an error is sticky, also of a nested
// reader. https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace outrider::protobuf {

/// Messages within messages.
inline constexpr int kDepthMax = 16;

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  /// Goes to the next field. False: there is none, or an error.
  bool next();
  bool ok() const { return bytes_.ok(); }
  /// For what a caller finds wrong with a value.
  void fail() { bytes_.fail(); }

  std::uint32_t field() const { return field_; }
  // The value of this field. Another type on the wire is an error.
  std::uint64_t u64();
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  bool boolean() { return u64() != 0; }
  Bytes bytes();
  std::string text() { return std::string(as_text(bytes())); }
  /// An enumerator below `count`, else an error.
  template <class Enum>
  Enum enumerator(std::uint64_t count) {
    return static_cast<Enum>(below(u64(), count));
  }
  /// The same of a repeated field, each value by itself or packed.
  template <class Enum, class Add>
  void enumerators(std::uint64_t count, Add add) {
    if (type_ == Type::varint) return add(enumerator<Enum>(count));
    ByteReader packed(bytes());
    while (packed.ok() && packed.left() > 0) {
      const std::uint64_t value = below(varint(packed), count);
      if (ok() && packed.ok()) add(static_cast<Enum>(value));
    }
    if (!packed.ok()) fail();
  }
  /// Reads a nested message: read(Reader&), which leaves nothing.
  template <class Read>
  void message(Read read) {
    Reader nested(bytes());
    nested.depth_ = depth_ + 1;
    if (nested.depth_ > kDepthMax) return fail();
    read(nested);
    if (!nested.ok()) fail();
  }

 private:
  enum class Type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

  static std::uint64_t varint(ByteReader& from);
  std::uint64_t below(std::uint64_t value, std::uint64_t count) {
    if (value < count) return value;
    fail();
    return 0;
  }

  ByteReader bytes_;
  int depth_ = 0;
  std::uint32_t field_ = 0;
  Type type_ = Type::varint;
  std::uint64_t number_ = 0;
  Bytes value_;
};

/// Values that are zero or empty are left out, as proto3 does.
class Writer {
 public:
  void u64(std::uint32_t field, std::uint64_t value) {
    if (value != 0) each_u64(field, value);
  }
  void i64(std::uint32_t field, std::int64_t value) {
    u64(field, static_cast<std::uint64_t>(value));
  }
  void boolean(std::uint32_t field, bool value) { u64(field, value ? 1 : 0); }
  void text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) each_text(field, value);
  }
  // Also those that are zero or empty: for repeated fields, and members of a oneof.
  void each_u64(std::uint32_t field, std::uint64_t value);
  void each_text(std::uint32_t field, std::string_view value);
  /// Also an empty one.
  template <class Write>
  void message(std::uint32_t field, Write write) {
    const std::size_t start = begin_message(field);
    write(*this);
    end_message(start);
  }

  std::string take() { return std::move(out_); }

 private:
  void tag(std::uint32_t field, std::uint32_t type);
  void varint(std::uint64_t value);
  std::size_t begin_message(std::uint32_t field);
  void end_message(std::size_t start);

  std::string out_;
};

}  // namespace outrider::protobuf
