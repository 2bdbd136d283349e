// SPDX-License-Identifier: Apache-2.0
// However octets are cut, the same messages come out, and none is longer than the limit.
#include <algorithm>

#include "base/assert.h"
#include "base/http2/grpc_framing.h"

using namespace outrider;

namespace {

constexpr std::size_t kMost = 64;

std::string hear(Bytes bytes, std::size_t piece) {
  grpc::MessageBuffer buffer(kMost);
  std::string heard;
  for (std::size_t at = 0; at < bytes.size() && buffer.error() == grpc::FramingError::none;) {
    const Bytes now = bytes.subspan(at, std::min(piece, bytes.size() - at));
    buffer.feed(now);
    at += now.size();
    while (buffer.has_message()) {
      const std::string message = buffer.take();
      OUTRIDER_ASSERT(message.size() <= kMost);
      heard += grpc::message_prefix(message.size()) + message;
    }
  }
  heard += static_cast<char>('0' + static_cast<int>(buffer.error()));
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  OUTRIDER_ASSERT(hear(bytes, size + 1) == hear(bytes, 1));
  return 0;
}
