// SPDX-License-Identifier: Apache-2.0
// However bytes are cut, the same response comes out, and never more body than was asked for; taken
// in pieces, the body has no limit and is the same. The first byte chooses between the answer to
// GET and to HEAD.
#include "base/assert.h"
#include "base/bytes.h"
#include "base/http/parser.h"

using namespace outrider;

namespace {

constexpr std::size_t kBodyMax = 256;

std::string hear(Bytes bytes, std::size_t piece, bool to_head) {
  http::ResponseParser parser(kBodyMax, to_head);
  for (std::size_t at = 0; at < bytes.size() && !parser.complete();) {
    const auto taken = parser.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    if (!taken) return http::to_string(taken.error());
    at += *taken;
  }
  if (!parser.complete()) {
    if (const auto end = parser.finish(); !end) return http::to_string(end.error());
  }
  const http::Response response = parser.take();
  OUTRIDER_ASSERT(response.status >= 100 && response.status <= 599);
  OUTRIDER_ASSERT(response.body.size() <= kBodyMax);
  OUTRIDER_ASSERT(!response.body_cut || !response.keep_alive);
  for (const auto& [name, value] : response.headers.fields)
    OUTRIDER_ASSERT(http::valid_header(name, value));
  return std::to_string(response.status) + response.reason + response.body;
}

/// The body so far, and how it ended.
std::string hear_pieces(Bytes bytes, std::size_t piece, bool to_head) {
  http::ResponseParser parser(kBodyMax, to_head);
  std::string body;
  for (std::size_t at = 0; at < bytes.size() && !parser.complete();) {
    const auto taken = parser.feed(bytes.subspan(at, std::min(piece, bytes.size() - at)));
    body += parser.take_body();
    if (!taken) return body + http::to_string(taken.error());
    at += *taken;
  }
  if (!parser.complete() && !parser.finish()) return body + "?";
  OUTRIDER_ASSERT(parser.response().body.empty());
  return body + ".";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes bytes{data + 1, size - 1};
  const bool to_head = data[0] == 'H';
  OUTRIDER_ASSERT(hear(bytes, size, to_head) == hear(bytes, 1, to_head));
  if (size <= kBodyMax)
    OUTRIDER_ASSERT(hear_pieces(bytes, size, to_head) == hear_pieces(bytes, 1, to_head));
  return 0;
}
