// SPDX-License-Identifier: Apache-2.0
// The only way to bytes. Big-endian, bounded, with a sticky error: read or write a whole group of
// fields, then look at ok() once. A failed read leaves the position where it was and yields zeros;
// a failed write leaves the buffer as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/assert.h"

namespace outrider {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Reads from bytes that it does not own and that must outlive the reader.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  std::size_t position() const { return position_; }
  std::size_t left() const { return bytes_.size() - position_; }
  /// The whole buffer, from its first byte: what compression pointers refer to.
  Bytes all() const { return bytes_; }

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }

  /// A view of the next `count` bytes; empty on failure.
  Bytes take(std::size_t count) {
    if (!reserve(count)) return {};
    const Bytes taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  void skip(std::size_t count) { take(count); }

  /// Moves to an absolute position, at most the end.
  void seek(std::size_t position) {
    if (position > bytes_.size())
      ok_ = false;
    else if (ok_)
      position_ = position;
  }
  void fail() { ok_ = false; }

 private:
  bool reserve(std::size_t count) {
    if (count > left()) ok_ = false;
    return ok_;
  }
  std::uint64_t number(std::size_t size) {
    if (!reserve(size)) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value = value << 8 | bytes_[position_ + i];
    position_ += size;
    return value;
  }

  Bytes bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

/// Writes into a buffer of fixed size that it does not own and that must outlive the writer.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes buffer) : buffer_(buffer) {}

  bool ok() const { return ok_; }
  std::size_t size() const { return size_; }
  std::size_t left() const { return buffer_.size() - size_; }
  Bytes written() const { return buffer_.first(size_); }

  void u8(std::uint8_t value) { number(value, 1); }
  void u16(std::uint16_t value) { number(value, 2); }
  void u32(std::uint32_t value) { number(value, 4); }
  void u64(std::uint64_t value) { number(value, 8); }
  void put(Bytes bytes) {
    if (!reserve(bytes.size()) || bytes.empty()) return;
    std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }

  /// Overwrites two bytes written before, such as a length or a count.
  void patch_u16(std::size_t at, std::uint16_t value) {
    OUTRIDER_ASSERT(at + 2 <= size_);
    buffer_[at] = static_cast<std::uint8_t>(value >> 8);
    buffer_[at + 1] = static_cast<std::uint8_t>(value);
  }

  /// Goes back to an earlier size() and forgets an error that came after it.
  void rollback(std::size_t size) {
    OUTRIDER_ASSERT(size <= size_);
    size_ = size;
    ok_ = true;
  }

 private:
  bool reserve(std::size_t count) {
    if (count > left()) ok_ = false;
    return ok_;
  }
  void number(std::uint64_t value, std::size_t size) {
    if (!reserve(size)) return;
    for (std::size_t i = size; i-- > 0;) {
      buffer_[size_ + i] = static_cast<std::uint8_t>(value);
      value >>= 8;
    }
    size_ += size;
  }

  MutableBytes buffer_;
  std::size_t size_ = 0;
  bool ok_ = true;
};

}  // namespace outrider
