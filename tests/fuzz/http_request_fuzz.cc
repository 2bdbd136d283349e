// SPDX-License-Identifier: Apache-2.0
// However bytes are cut, the same requests come out; what comes out keeps the rules of http1.h.
#include "base/assert.h"
#include "base/bytes.h"
#include "base/http/parser.h"

using namespace outrider;

namespace {

constexpr std::size_t kBodyMax = 256;

std::string hear(Bytes bytes, std::size_t piece) {
  http::RequestParser parser(kBodyMax);
  std::string heard;
  for (std::size_t at = 0; at < bytes.size();) {
    const Bytes now = bytes.subspan(at, std::min(piece, bytes.size() - at));
    const auto taken = parser.feed(now);
    if (!taken) return heard + http::to_string(taken.error());
    at += *taken;
    if (!parser.complete()) continue;
    const http::Request request = parser.take();
    OUTRIDER_ASSERT(request.target.starts_with('/'));
    OUTRIDER_ASSERT(request.body.size() <= kBodyMax);
    OUTRIDER_ASSERT(!request.headers.has("transfer-encoding"));
    for (const auto& [name, value] : request.headers.fields)
      OUTRIDER_ASSERT(http::valid_header(name, value));
    if (const auto target = http::parse_target(request.target)) heard += target->path;
    heard += request.method + request.target + request.body;
  }
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  OUTRIDER_ASSERT(hear(bytes, size + 1) == hear(bytes, 1));
  return 0;
}
