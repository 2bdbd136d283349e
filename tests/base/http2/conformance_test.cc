// SPDX-License-Identifier: Apache-2.0
// What RFC 9113 and RFC 7541 require of a server that gets wrong or unusual frames, in the order of
// their sections.
#include <doctest/doctest.h>

#include "tests/base/http2/client.h"
#include "tests/base/http2/echo.h"

using namespace outrider;
using namespace outrider::http2;
using namespace outrider::test;

namespace {

using Fixture = EchoFixture;

enum Type : std::uint8_t {
  data,
  headers,
  priority,
  rst_stream,
  settings,
  push,
  ping,
  goaway,
  window_update,
  continuation
};
constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriority = 0x20;
const std::string kGet = "\x82\x84\x86", kPost = "\x83\x84\x86";

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t id,
                  const std::string& payload) {
  return H2Client::frame(type, flags, id, payload);
}
std::string number(std::uint32_t value) {
  std::string text;
  for (const unsigned shift : {24U, 16U, 8U, 0U})
    text += static_cast<char>(value >> shift);
  return text;
}
std::string setting(std::uint16_t id, std::uint32_t value) {
  return std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + number(value);
}
std::string get(std::uint32_t id, const std::string& block = kGet) {
  return frame(headers, kEndHeaders | kEndStream, id, block);
}
/// A request that has not ended.
std::string post(std::uint32_t id) {
  return frame(headers, kEndHeaders, id, kPost);
}
std::string octets(std::size_t count) {
  return std::string(count, '\0');
}
/// A literal field that is not indexed.
std::string field(const std::string& name, const std::string& value) {
  return '\0' + std::string(1, static_cast<char>(name.size())) + name +
         static_cast<char>(value.size()) + value;
}

/// What the server says to these frames: "answered 1", "reset 1 8", "goaway 1", "pong".
std::string said(sim::World& world, const std::string& frames) {
  Client client(world, kSocket);
  client.send(std::string(http::kHttp2Preface) + frame(settings, 0, 0, {}) + frames);
  world.advance(100ms);
  const std::string got = client.take();
  std::string text;
  const auto at = [&](std::size_t index) { return static_cast<std::uint8_t>(got[index]); };
  for (std::size_t pos = 0; pos + 9 <= got.size();) {
    const std::size_t size =
        std::size_t{at(pos)} << 16 | std::size_t{at(pos + 1)} << 8 | at(pos + 2);
    const std::string id = ' ' + std::to_string(at(pos + 8));
    REQUIRE(pos + 9 + size <= got.size());
    std::string one;
    if (at(pos + 3) == headers && (at(pos + 4) & kEndStream) == 0) one = "answered" + id;
    if (at(pos + 3) == rst_stream) one = "reset" + id + ' ' + std::to_string(at(pos + 12));
    if (at(pos + 3) == goaway) one = "goaway " + std::to_string(at(pos + 16));
    if (at(pos + 3) == ping) one = "pong";
    text += (text.empty() || one.empty() ? "" : ", ") + one;
    pos += 9 + size;
  }
  CHECK(client.ended() == (text.find("goaway") != std::string::npos));
  return text;
}

struct Case {
  std::string what;
  std::string frames;
  std::string wanted;
};

void check(sim::World& world, const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    CAPTURE(each.what);
    CHECK(said(world, each.frames) == each.wanted);
  }
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "frames of unknown types, flags and settings are ignored") {
  check(world,
        {{"unknown type", frame(0x16, 0, 0, octets(8)) + get(1), "answered 1"},
         {"unknown type on a stream", frame(0x16, 0xff, 1, octets(8)) + get(1), "answered 1"},
         {"undefined flags", frame(ping, 0x16, 0, octets(8)), "pong"},
         {"reserved bit", frame(ping, 0, 0x80000000, octets(8)), "pong"},
         {"unknown setting", frame(settings, 0, 0, setting(0xff, 1)) + get(1), "answered 1"},
         {"a PING that is an answer", frame(ping, kAck, 0, octets(8)) + get(1), "answered 1"},
         {"WINDOW_UPDATE of a stream that is over", get(1) + frame(window_update, 0, 1, number(1)),
          "answered 1"},
         {"PRIORITY of no stream", frame(priority, 0, 0, octets(5)) + get(1), "answered 1"},
         {"PRIORITY of an idle stream", frame(priority, 0, 9, octets(5)) + get(1), "answered 1"}});
}

TEST_CASE_FIXTURE(Fixture, "frames have their sizes (RFC 9113 4.2, 6)") {
  check(world, {{"DATA that is too long", post(1) + frame(data, 0, 1, octets(16'385)), "goaway 6"},
                {"HEADERS that is too long",
                 frame(headers, kEndHeaders | kEndStream, 1, octets(16'385)), "goaway 6"},
                {"RST_STREAM of 3", post(1) + frame(rst_stream, 0, 1, octets(3)), "goaway 6"},
                {"SETTINGS of 3", frame(settings, 0, 0, octets(3)), "goaway 6"},
                {"SETTINGS that answers with content", frame(settings, kAck, 0, setting(3, 1)),
                 "goaway 6"},
                {"PING of 6", frame(ping, 0, 0, octets(6)), "goaway 6"},
                {"WINDOW_UPDATE of 3", frame(window_update, 0, 0, octets(3)), "goaway 6"},
                {"GOAWAY of 7", frame(goaway, 0, 0, octets(7)), "goaway 6"}});
}

TEST_CASE_FIXTURE(Fixture, "header blocks are compressed, and not interrupted (4.3, RFC 7541)") {
  const std::string open = frame(headers, kEndStream, 1, kGet);
  check(world, {{"a block of garbage", get(1, "\xff\xff\xff\xff\xff\xff\xff\xff"), "goaway 9"},
                {"index 0", get(1, "\x80"), "goaway 9"},
                {"an index that is not there", get(1, "\xc6"), "goaway 9"},
                {"a table size above the limit", get(1, std::string("\x3f\xe1\xff\x03", 4) + kGet),
                 "goaway 9"},
                {"a table size at the end", get(1, kGet + "\x20"), "goaway 9"},
                {"Huffman padding of more than 7 bits",
                 get(1, kGet + std::string("\0\x01x\x82\xff\xff", 6)), "goaway 9"},
                {"continued", open + frame(continuation, kEndHeaders, 1, {}), "answered 1"},
                {"continued by another stream", open + frame(continuation, kEndHeaders, 3, {}),
                 "goaway 1"},
                {"interrupted by DATA", open + frame(data, 0, 1, "x"), "goaway 1"},
                {"interrupted by PRIORITY", open + frame(priority, 0, 1, octets(5)), "goaway 1"},
                {"interrupted by an unknown type", open + frame(0x16, 0, 0, {}), "goaway 1"},
                {"interrupted by another request", open + get(3), "goaway 1"}});
}

TEST_CASE_FIXTURE(Fixture, "streams have states and numbers (5.1)") {
  check(world,
        {{"DATA of an idle stream", frame(data, kEndStream, 1, "x"), "goaway 1"},
         {"RST_STREAM of an idle stream", frame(rst_stream, 0, 1, number(8)), "goaway 1"},
         {"WINDOW_UPDATE of an idle stream", frame(window_update, 0, 1, number(1)), "goaway 1"},
         {"CONTINUATION of an idle stream", frame(continuation, kEndHeaders, 1, kGet), "goaway 1"},
         {"a stream of the server's", get(2), "goaway 1"},
         {"a number that was passed", get(5) + get(3), "answered 5"}});
}

TEST_CASE_FIXTURE(Fixture, "frames of the connection and of streams are distinguished (6)") {
  check(world,
        {{"DATA", frame(data, 0, 0, "x"), "goaway 1"},
         {"HEADERS", get(0), "goaway 1"},
         {"RST_STREAM", frame(rst_stream, 0, 0, number(8)), "goaway 1"},
         {"CONTINUATION", frame(continuation, kEndHeaders, 0, kGet), "goaway 1"},
         {"SETTINGS", frame(settings, 0, 1, {}), "goaway 1"},
         {"PING", frame(ping, 0, 1, octets(8)), "goaway 1"},
         {"GOAWAY", frame(goaway, 0, 1, octets(8)), "goaway 1"},
         {"PUSH_PROMISE", post(1) + frame(push, kEndHeaders, 1, number(2) + kGet), "goaway 1"}});
}

TEST_CASE_FIXTURE(Fixture, "padding fits into its frame (6.1, 6.2)") {
  check(world,
        {{"of DATA", post(1) + frame(data, kPadded, 1, "\x06xxxxx"), "goaway 1"},
         {"of HEADERS", frame(headers, kEndHeaders | kPadded, 1, '\x04' + kGet), "goaway 1"},
         {"all of it", post(1) + frame(data, kPadded | kEndStream, 1, std::string("\x02\0\0", 3)),
          "answered 1"},
         {"with a priority",
          frame(headers, kEndHeaders | kEndStream | kPadded | kPriority, 1,
                '\x02' + octets(5) + kGet + octets(2)),
          "answered 1"}});
}

TEST_CASE_FIXTURE(Fixture, "settings have their values (6.5.2)") {
  check(world, {{"push 2", frame(settings, 0, 0, setting(2, 2)), "goaway 1"},
                {"a window of 2^31", frame(settings, 0, 0, setting(4, 0x80000000)), "goaway 3"},
                {"frames of 16,383", frame(settings, 0, 0, setting(5, 16'383)), "goaway 1"},
                {"frames of 2^24", frame(settings, 0, 0, setting(5, 1U << 24)), "goaway 1"}});
}

TEST_CASE_FIXTURE(Fixture, "windows are moved, and not beyond 2^31 - 1 (6.9)") {
  const std::string most = number(0x7fffffff);
  check(world, {{"by 0", frame(window_update, 0, 0, number(0)), "goaway 1"},
                {"too far", frame(window_update, 0, 0, most), "goaway 3"},
                {"by 0, of a stream", post(1) + frame(window_update, 0, 1, number(0)), "goaway 1"},
                {"too far, of a stream", post(1) + frame(window_update, 0, 1, most), "reset 1 3"}});
}

TEST_CASE_FIXTURE(Fixture, "requests are well-formed (8.1, 8.3)") {
  const std::string bad = "reset 1 1";
  const auto with = [](const std::string& more) { return get(1, kGet + more); };
  check(world, {{"good", with(field("x", "y")), "answered 1"},
                {"capitals", with(field("X-Y", "z")), bad},
                {"unknown pseudo-header", with(field(":x", "y")), bad},
                {"pseudo-header of responses", with(field(":status", "200")), bad},
                {"pseudo-header after others", get(1, "\x82\x86" + field("x", "y") + "\x84"), bad},
                {"twice the method", with("\x82"), bad},
                {"no path", get(1, "\x82\x86"), bad},
                {"an empty path", get(1, "\x82\x86" + field(":path", "")), bad},
                {"connection", with(field("connection", "keep-alive")), bad},
                {"te", with(field("te", "trailers, deflate")), bad},
                {"content-length of another body",
                 frame(headers, kEndHeaders, 1, kPost + field("content-length", "2")) +
                     frame(data, kEndStream, 1, "x"),
                 bad},
                {"content-length without a body", with(field("content-length", "1")), bad},
                {"content-length that is none", with(field("content-length", "-1")), bad},
                {"content-length of the body",
                 frame(headers, kEndHeaders, 1, kPost + field("content-length", "2")) +
                     frame(data, 0, 1, "x") + frame(data, kEndStream, 1, "y"),
                 "answered 1"},
                {"trailers", post(1) + frame(headers, kEndHeaders | kEndStream, 1, field("x", "y")),
                 "answered 1"},
                {"trailers with a pseudo-header",
                 post(1) + frame(headers, kEndHeaders | kEndStream, 1, field(":path", "/")), bad},
                {"trailers that are not the end",
                 post(1) + frame(headers, kEndHeaders, 1, field("x", "y")), bad}});
}
