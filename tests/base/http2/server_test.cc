// SPDX-License-Identifier: Apache-2.0
#include "base/http2/server.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/base/http2/client.h"
#include "tests/base/http2/echo.h"

using namespace outrider;
using namespace outrider::http2;
using namespace outrider::test;

namespace {

using Fixture = EchoFixture;

std::string repeated(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all += text;
  return all;
}
const std::string kPing = H2Client::frame(NGHTTP2_PING, 0, 0, "12345678");
constexpr std::uint32_t kCalm = NGHTTP2_ENHANCE_YOUR_CALM;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a request is answered with head, body and trailers") {
  H2Client client(world, kSocket);
  const std::string body = "body";
  const auto& response = client.wait(client.ask("POST", "/a?b=c", {{"x-more", "1"}}, &body));
  CHECK(response.status == "200");
  CHECK(response.headers.at("content-type") == "text/plain");
  CHECK(response.body == "POST /a?b=c body");
  CHECK(response.trailers.at("end") == "yes");
  CHECK(response.closed);
  CHECK(response.error == 0);
  CHECK(echo.heads[0].authority == "localhost");
  CHECK(echo.heads[0].headers.get("x-more") == "1");
  CHECK(echo.open == 0);
  CHECK(server.counters().requests == 1);
}

TEST_CASE_FIXTURE(Fixture, "one port tells HTTP/1.1 from HTTP/2, however the preface is cut") {
  Client old(world, kSocket);
  CHECK(body_of(old.ask("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")) == "HTTP/1.1 /x");
  // Begins like the preface.
  CHECK(status_of(Client(world, kSocket).ask("PRI * HTTP/1.1\r\nHost: localhost\r\n\r\n")) ==
        "501");

  const std::string settings = H2Client::frame(NGHTTP2_SETTINGS, 0, 0, "");
  const std::string opening = std::string(http::kHttp2Preface) + settings;
  for (std::size_t cut = 1; cut < opening.size(); ++cut) {
    CAPTURE(cut);
    Client client(world, kSocket);
    client.send(opening.substr(0, cut));
    world.advance(10ms);
    const std::string early = client.take();
    CHECK(early.empty() == (cut < http::kHttp2Preface.size()));
    const std::string answer = early + client.ask(opening.substr(cut));
    REQUIRE(answer.size() > 9);
    CHECK(answer[3] == NGHTTP2_SETTINGS);
  }
  world.advance(10ms);
  CHECK(listener->connection_count() == 1);
  CHECK(server.connection_count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a preface that does not come to its end is given up") {
  Client client(world, kSocket);
  client.send("PRI * HTTP");
  world.advance(http::kRequestTimeout + 1s);
  CHECK(client.ended());
  CHECK(server.counters().connections == 0);
}

TEST_CASE("a server without HTTP/2 refuses its preface") {
  sim::World world(7);
  Echo echo;
  http::ServerOptions options;
  options.on = kSocket;
  http::Server server(world.env(), options, echo);
  REQUIRE(server.start());
  const std::string answer = Client(world, kSocket).ask(http::kHttp2Preface);
  CHECK(answer.starts_with("HTTP/1.1 "));
}

TEST_CASE_FIXTURE(Fixture, "many requests on one connection are answered, in turns") {
  H2Client client(world, kSocket);
  std::vector<int> ids;
  for (int i = 0; i < 500; ++i)
    ids.push_back(client.get("/" + std::to_string(i)));
  world.advance(1s);
  for (int i = 0; i < 500; ++i)
    CHECK(client.at(ids[static_cast<std::size_t>(i)]).body == "GET /" + std::to_string(i) + " ");
}

TEST_CASE_FIXTURE(Fixture, "a request beyond kStreamsMax waits until one is over") {
  H2Client client(world, kSocket);
  CHECK(client.wait(client.get("/first")).closed);
  std::vector<int> ids;
  for (std::uint32_t i = 0; i < kStreamsMax + 1; ++i)
    ids.push_back(client.get("/hold"));
  world.advance(1s);
  CHECK(echo.open == static_cast<int>(kStreamsMax));  // the client knows the limit
  client.reset(ids[0]);
  world.advance(100ms);
  CHECK(echo.open == static_cast<int>(kStreamsMax));
  CHECK(echo.heads.size() == kStreamsMax + 2);
  CHECK_FALSE(client.goaway());
}

TEST_CASE_FIXTURE(Fixture, "a request may name any authority, as clients of etcd do") {
  H2Client client(world, kSocket);
  for (const char* authority : {"http://127.0.0.1:2379", "#initially=[127.0.0.1:2379]", ""}) {
    CAPTURE(authority);
    const H2Client::Fields fields{
        {":method", "GET"}, {":scheme", "http"}, {":authority", authority}, {":path", "/x"}};
    const auto& response = client.wait(client.ask_with(fields));
    CHECK(response.status == "200");
    CHECK(echo.heads.back().authority == authority);
  }
}

TEST_CASE_FIXTURE(Fixture, "a malformed request costs its stream") {
  H2Client client(world, kSocket);
  const H2Client::Fields good{{":method", "GET"}, {":scheme", "http"}, {":path", "/x"}};
  const auto refused = [&](const H2Client::Fields& fields) {
    const auto& response = client.wait(client.ask_with(fields));
    CHECK(response.closed == true);
    CHECK((response.status == "200") == (response.error == 0));
    return response.error == NGHTTP2_PROTOCOL_ERROR;
  };
  const auto with = [&](const char* name, const char* value) {
    H2Client::Fields fields = good;
    fields.emplace_back(name, value);
    return fields;
  };
  CHECK_FALSE(refused(good));
  CHECK_FALSE(refused(with("te", "trailers")));
  for (std::size_t i = 0; i < good.size(); ++i) {
    CAPTURE(good[i].first);
    H2Client::Fields without = good, empty = good;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    empty[i].second.clear();
    CHECK(refused(without));
    CHECK(refused(empty) == (good[i].first != ":scheme"));
    CHECK(refused(with(good[i].first.c_str(), "x")));
  }
  CHECK(refused(with(":status", "200")));
  CHECK(refused(with("a b", "x")));
  CHECK(refused(with("", "x")));
  CHECK(refused(with("x", "a\nb")));
  CHECK(refused(with("te", "gzip")));
  CHECK(refused(with("connection", "close")));
  CHECK(refused(with("transfer-encoding", "chunked")));
  H2Client::Fields late = good;
  std::ranges::rotate(late, late.end() - 1);
  late.insert(late.begin(), {"x", "y"});
  CHECK(refused(late));
  CHECK_FALSE(refused({{":method", "CONNECT"}, {":authority", "localhost:80"}}));
  CHECK(refused({{":method", "CONNECT"}}));
  CHECK(echo.open == 0);
  CHECK_FALSE(client.goaway());
}

TEST_CASE_FIXTURE(Fixture, "a header list that is too long costs the stream") {
  H2Client client(world, kSocket);
  const std::string none;
  const int fits =
      client.ask("GET", "/", {{"x", std::string(kHeaderListBytesMax - 400, 'x')}}, &none);
  CHECK(client.wait(fits).status == "200");
  const int id = client.ask("GET", "/", {{"x", std::string(kHeaderListBytesMax, 'x')}}, &none);
  const auto& response = client.wait(id);
  CHECK(response.closed);
  CHECK(response.error == kCalm);
  CHECK(client.wait(client.get("/next")).status == "200");
}

TEST_CASE_FIXTURE(Fixture, "a header list that grows out of a few octets costs the connection") {
  // One field of 3 kB enters the dynamic table; each further octet repeats it.
  const std::string value(3'000, 'v');
  std::string block = "\x82\x84\x86";
  block += std::string("\x40\x01x\x7f", 4);
  const std::size_t rest = value.size() - 127;
  block += static_cast<char>(0x80 | (rest & 0x7f));
  block += static_cast<char>(rest >> 7);
  block += value;
  block += std::string(kHeaderListBytesFatal / value.size() + 1, '\xbe');
  CHECK(told(H2Client::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, block)) == kCalm);
}

TEST_CASE_FIXTURE(Fixture, "a flood of frames ends the connection, and fewer do not") {
  const auto frames = [](std::size_t count, std::uint8_t type, std::uint32_t id,
                         std::string_view payload) {
    return repeated(count, H2Client::frame(type, 0, id, payload));
  };
  const std::string one("\0\0\0\1", 4), priority("\0\0\0\0\1", 5);
  // The client's own SETTINGS, and what the first response has earned, are counted.
  CHECK(told(frames(kPingsMax.burst, NGHTTP2_PING, 0, "12345678")) == kNotTold);
  CHECK(told(frames(kPingsMax.burst + 1, NGHTTP2_PING, 0, "12345678")) == kCalm);
  CHECK(told(frames(kSettingsFramesMax.burst - 1, NGHTTP2_SETTINGS, 0, "")) == kNotTold);
  CHECK(told(frames(kSettingsFramesMax.burst, NGHTTP2_SETTINGS, 0, "")) == kCalm);
  CHECK(told(frames(kWindowUpdatesMax.burst, NGHTTP2_WINDOW_UPDATE, 0, one)) == kNotTold);
  CHECK(told(frames(kWindowUpdatesMax.burst + 1, NGHTTP2_WINDOW_UPDATE, 0, one)) == kCalm);
  CHECK(told(frames(kEmptyFramesMax.burst, NGHTTP2_PRIORITY, 3, priority)) == kNotTold);
  CHECK(told(frames(kEmptyFramesMax.burst + 1, NGHTTP2_PRIORITY, 3, priority)) == kCalm);
  CHECK(server.counters().violations == 4);
  CHECK(world.host("here").log().last("http2_violation").find("too many frames without use") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "empty DATA frames are counted, and what they belong to is over") {
  H2Client client(world, kSocket);
  const int id = client.ask("POST", "/hold", {}, nullptr);
  world.advance(10ms);
  const auto stream = static_cast<std::uint32_t>(id);
  client.raw(repeated(kEmptyFramesMax.burst, H2Client::frame(NGHTTP2_DATA, 0, stream, "")));
  world.advance(10ms);
  CHECK_FALSE(client.goaway());
  CHECK(echo.open == 1);
  client.raw(H2Client::frame(NGHTTP2_DATA, 0, stream, ""));
  world.advance(10ms);
  CHECK(client.goaway_code() == kCalm);
  CHECK(echo.open == 0);
}

TEST_CASE_FIXTURE(Fixture, "requests that are reset as soon as they are sent end the connection") {
  H2Client client(world, kSocket);
  std::size_t asked = 0;
  for (; asked < 10'000 && !client.goaway(); ++asked) {
    client.reset(client.get("/hold"));
    if (asked % 50 == 0) world.advance(1ms);
  }
  world.advance(10ms);
  CHECK(client.goaway_code() == kCalm);
  CHECK(asked < kResetsMax.burst + 200);
  CHECK(echo.open == 0);
}

TEST_CASE_FIXTURE(Fixture, "a client that cancels what it asks, at its leisure, is served") {
  H2Client client(world, kSocket);
  for (std::size_t i = 0; i < 4 * kResetsMax.burst; ++i) {
    client.reset(client.get("/hold"));
    world.advance(50ms);
  }
  CHECK_FALSE(client.goaway());
  CHECK(client.wait(client.get("/x")).status == "200");
}

TEST_CASE_FIXTURE(Fixture, "resets that a client provokes count as its own") {
  H2Client client(world, kSocket);
  CHECK(client.wait(client.get("/first")).closed);
  // A window that is too large is a stream error (RFC 9113 §6.9.1).
  for (std::uint32_t i = 0; i < kResetsMax.burst + 50; ++i) {
    const std::uint32_t id = 3 + 2 * i;
    client.raw(H2Client::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, "\x82\x84\x86") +
               H2Client::frame(NGHTTP2_WINDOW_UPDATE, 0, id, "\x7f\xff\xff\xff"));
  }
  world.advance(100ms);
  CHECK(world.host("here").log().last("http2_violation").find("had to be reset") !=
        std::string::npos);
  CHECK(echo.heads.size() > kResetsMax.burst / 2);
  CHECK(echo.open == 0);
}

TEST_CASE_FIXTURE(Fixture, "CONTINUATION frames are limited") {
  const auto continuations = [](std::size_t count) {
    std::string all = H2Client::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 3, "\x82\x84");
    for (std::size_t i = 0; i < count; ++i)
      all += H2Client::frame(NGHTTP2_CONTINUATION,
                             i + 1 == count ? NGHTTP2_FLAG_END_HEADERS : NGHTTP2_FLAG_NONE, 3,
                             i == 0 ? "\x86" : "");
    return all;
  };
  CHECK(told(continuations(kContinuationsMax)) == kNotTold);
  CHECK(told(continuations(kContinuationsMax + 1)) != kNotTold);
}

TEST_CASE_FIXTURE(Fixture, "a client that has sent GOAWAY opens no further streams") {
  H2Client client(world, kSocket);
  const int held = client.get("/hold");
  world.advance(10ms);
  client.raw(H2Client::frame(NGHTTP2_GOAWAY, 0, 0, std::string(8, '\0')));
  CHECK(client.wait(client.get("/late")).error == NGHTTP2_REFUSED_STREAM);
  CHECK(echo.heads.size() == 1);
  CHECK_FALSE(client.ended());
  echo.requests.front()->responder.respond(204, {});
  CHECK(client.wait(held).status == "204");
  CHECK(client.ended());
  CHECK(server.counters().violations == 0);
}

TEST_CASE_FIXTURE(Fixture, "SETTINGS with too many entries end the connection") {
  const std::string entry("\0\4\0\0\xff\xff", 6);
  CHECK(told(H2Client::frame(NGHTTP2_SETTINGS, 0, 0, repeated(kSettingsMax, entry))) == kNotTold);
  CHECK(told(H2Client::frame(NGHTTP2_SETTINGS, 0, 0, repeated(kSettingsMax + 1, entry))) !=
        kNotTold);
}

TEST_CASE_FIXTURE(Fixture, "a violation of the protocol ends the connection, and no other") {
  H2Client other(world, kSocket);
  const int held = other.get("/hold");
  world.advance(10ms);
  {
    H2Client client(world, kSocket);
    CHECK(client.wait(client.get("/x")).closed);
    client.raw(H2Client::frame(NGHTTP2_DATA, 0, 0, "x"));
    world.advance(10ms);
    CHECK(client.goaway_code() == NGHTTP2_PROTOCOL_ERROR);
    CHECK(client.ended());
  }
  CHECK(server.counters().violations == 1);
  CHECK(world.host("here").log().last("http2_violation").find("PROTOCOL_ERROR") !=
        std::string::npos);
  CHECK_FALSE(other.at(held).closed);
  CHECK(other.wait(other.get("/x")).status == "200");
}
