// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/client_hello.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace outrider::bridge {
namespace {

constexpr std::uint8_t kRecordAlert = 21, kRecordHandshake = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr std::size_t kFragmentBytesMax = 1U << 14;  // RFC 8446 §5.1
constexpr std::uint16_t kServerName = 0;             // extension
constexpr std::uint8_t kHostName = 0;                // type of a server name
constexpr std::size_t kHandshakeHead = 4;

/// RFC 6066 §3: a list of names, of which one may be a host name, without a final dot.
Result<std::string, HelloError> read_names(Bytes extension) {
  ByteReader reader(extension);
  ByteReader list(reader.take(reader.u16()));
  if (!reader.ok() || reader.left() > 0) return failure(HelloError::malformed);
  while (list.left() > 0) {
    const std::uint8_t type = list.u8();
    const Bytes name = list.take(list.u16());
    if (!list.ok() || name.empty()) return failure(HelloError::malformed);
    if (type != kHostName) continue;
    for (const std::uint8_t c : name)
      if (c <= 0x20 || c >= 0x7f) return failure(HelloError::malformed);
    return lowered(as_text(name));
  }
  return failure(HelloError::no_name);
}

Result<std::string, HelloError> read_hello(Bytes hello) {
  ByteReader reader(hello);
  const std::uint8_t major = reader.u8();
  reader.skip(1 + 32);        // minor version, random
  reader.skip(reader.u8());   // session id
  reader.skip(reader.u16());  // cipher suites
  reader.skip(reader.u8());   // compression methods
  if (!reader.ok() || major != 3) return failure(HelloError::malformed);
  if (reader.left() == 0) return failure(HelloError::no_name);  // before extensions existed
  ByteReader extensions(reader.take(reader.u16()));
  if (!reader.ok() || reader.left() > 0) return failure(HelloError::malformed);
  while (extensions.left() > 0) {
    const std::uint16_t type = extensions.u16();
    const Bytes extension = extensions.take(extensions.u16());
    if (!extensions.ok()) return failure(HelloError::malformed);
    if (type == kServerName) return read_names(extension);
  }
  return failure(HelloError::no_name);
}

}  // namespace

Result<std::string, HelloError> read_server_name(Bytes bytes) {
  std::vector<std::uint8_t> message;
  ByteReader reader(bytes);
  while (reader.left() > 0) {
    if (reader.all()[reader.position()] != kRecordHandshake) return failure(HelloError::malformed);
    reader.skip(1);
    const std::uint8_t major = reader.u8();
    if (reader.ok() && major != 3) return failure(HelloError::malformed);
    reader.skip(1);
    const std::uint16_t length = reader.u16();
    if (!reader.ok()) return failure(HelloError::cut_short);
    if (length == 0 || length > kFragmentBytesMax) return failure(HelloError::malformed);
    const Bytes fragment = reader.take(std::min<std::size_t>(length, reader.left()));
    message.insert(message.end(), fragment.begin(), fragment.end());
    if (!message.empty() && message.front() != kClientHello) return failure(HelloError::malformed);
    if (message.size() < kHandshakeHead) continue;
    const std::size_t wanted =
        std::size_t{message[1]} << 16U | std::size_t{message[2]} << 8U | message[3];
    if (wanted + kHandshakeHead > kHelloBytesMax) return failure(HelloError::malformed);
    if (message.size() >= wanted + kHandshakeHead)
      return read_hello(Bytes(message).subspan(kHandshakeHead, wanted));
  }
  return failure(HelloError::cut_short);
}

std::string write_alert(Alert alert) {
  constexpr char kFatal = 2;
  return {static_cast<char>(kRecordAlert), 3, 3, 0, 2, kFatal, static_cast<char>(alert)};
}

}  // namespace outrider::bridge
