// SPDX-License-Identifier: Apache-2.0
#include "base/http2/grpc_framing.h"

#include <array>
#include <utility>

#include "base/assert.h"

namespace outrider::grpc {

MessageBuffer::Prefix MessageBuffer::prefix() const {
  ByteReader reader(as_bytes(buffer_).subspan(at_));
  Prefix prefix;
  prefix.flag = reader.u8();
  prefix.length = reader.u32();
  prefix.complete = reader.ok();
  return prefix;
}

FramingError MessageBuffer::error() const {
  const Prefix next = prefix();
  if (!next.complete) return FramingError::none;
  if (next.flag == 1) return FramingError::compressed;
  if (next.flag != 0) return FramingError::flag;
  return next.length > max_ ? FramingError::too_long : FramingError::none;
}

bool MessageBuffer::has_message() const {
  const Prefix next = prefix();
  return next.complete && error() == FramingError::none && size() - kPrefixBytes >= next.length;
}

std::string MessageBuffer::take() {
  OUTRIDER_ASSERT(has_message());
  const std::size_t length = prefix().length;
  std::string message = buffer_.substr(at_ + kPrefixBytes, length);
  at_ += kPrefixBytes + length;
  if (size() == 0)
    clear();
  else if (at_ > buffer_.size() / 2)
    buffer_.erase(0, std::exchange(at_, 0));
  return message;
}

void MessageBuffer::clear() {
  buffer_ = {};
  at_ = 0;
}

std::string message_prefix(std::size_t length) {
  std::array<std::uint8_t, kPrefixBytes> room{};
  ByteWriter writer(room);
  writer.u8(0);
  writer.u32(static_cast<std::uint32_t>(length));
  return std::string(as_text(writer.written()));
}

}  // namespace outrider::grpc
