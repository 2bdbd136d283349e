// SPDX-License-Identifier: Apache-2.0
// What a client sends after the preface. However it is cut, the same requests come out; header
// lists stay within their limit, and each request is over once at most.
#include <algorithm>
#include <map>
#include <optional>

#include "base/assert.h"
#include "base/http/server.h"
#include "base/http2/nghttp2_module/nghttp2_session.h"

using namespace outrider;
using namespace outrider::http2;

namespace {

struct Sink final : Session::Sink {
  void on_request(StreamId id, RequestHead head) override {
    std::size_t bytes = 0;
    for (const auto& [name, value] : head.headers.fields)
      bytes += name.size() + value.size();
    OUTRIDER_ASSERT(bytes <= kHeaderListBytesMax);
    OUTRIDER_ASSERT(!heard.contains(id));
    heard[id] = head.method + " " + head.path + " ";
    session->respond(id, 200, {{"x", "y"}}, Session::Body::follows);
  }
  void on_data(StreamId id, Bytes data) override {
    heard.at(id) += as_text(data);
    session->consume(id, data.size());
  }
  void on_end(StreamId id) override { heard.at(id) += "."; }
  void on_closed(StreamId id) override {
    OUTRIDER_ASSERT(heard.contains(id));
    OUTRIDER_ASSERT(!closed[id]);
    closed[id] = true;
  }
  BodyPiece read_body(StreamId, MutableBytes room) override {
    std::ranges::fill(room.first(std::min<std::size_t>(room.size(), 3)), std::uint8_t{'b'});
    return {.size = std::min<std::size_t>(room.size(), 3), .last = true, .trailers = &trailers};
  }

  const HeaderList trailers{{"grpc-status", "0"}};
  std::unique_ptr<Session> session;
  std::map<StreamId, std::string> heard;
  std::map<StreamId, bool> closed;
};

using Heard = std::map<StreamId, std::string>;

/// Nothing: too many continuations. The library counts one for each piece of their heads.
std::optional<Heard> hear(Bytes bytes, std::size_t piece) {
  Sink sink;
  sink.session = make_nghttp2_session(sink);
  bool in_order = sink.session->receive({}, as_bytes(http::kHttp2Preface));
  for (std::size_t at = 0; at < bytes.size() && in_order; at += piece)
    in_order = sink.session->receive({}, bytes.subspan(at, std::min(piece, bytes.size() - at)));
  std::size_t sent = 0;
  for (Bytes out = sink.session->next_output(); !out.empty(); out = sink.session->next_output())
    sent += out.size();
  OUTRIDER_ASSERT(sent > 0);
  OUTRIDER_ASSERT(in_order || !sink.session->violation().empty());
  if (sink.session->violation().find("CONTINUATION") != std::string_view::npos) return std::nullopt;
  return sink.heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  const auto whole = hear(bytes, size + 1), cut = hear(bytes, 1);
  OUTRIDER_ASSERT(!whole || !cut || *whole == *cut);
  return 0;
}
