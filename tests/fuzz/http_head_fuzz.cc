// SPDX-License-Identifier: Apache-2.0
// Heads of requests that are passed on: however they are cut, the same head comes out, and its
// length is where the bytes behind it begin.
#include "agent/bridge/host.h"
#include "base/assert.h"
#include "base/http/parser.h"

using namespace outrider;

namespace {

std::string hear(Bytes bytes, std::size_t piece) {
  http::HeadParser parser;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const auto complete = parser.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    if (!complete) return http::to_string(complete.error());
    if (!*complete) continue;
    const http::RequestHead head = parser.take();
    OUTRIDER_ASSERT(head.bytes <= http::kHeadBytesMax && head.bytes <= bytes.size());
    OUTRIDER_ASSERT(as_text(bytes.first(head.bytes)).ends_with("\r\n\r\n"));
    OUTRIDER_ASSERT(head.method != "CONNECT");
    (void)bridge::read_host(head.headers.get("Host"), {"svc"});
    return head.method + head.target + std::string(head.headers.get("Host"));
  }
  return "more";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  OUTRIDER_ASSERT(hear(bytes, size + 1) == hear(bytes, 1));
  return 0;
}
