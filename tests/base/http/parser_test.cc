// SPDX-License-Identifier: Apache-2.0
#include "base/http/parser.h"

#include <iterator>
#include <optional>

#include <doctest/doctest.h>

#include "base/random.h"

using namespace outrider;
using namespace outrider::http;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t kBody = 1'000;

/// What came out of a parser: messages in one text form, then perhaps an error.
struct Heard {
  std::vector<std::string> messages;
  std::optional<Error> error;
  bool operator==(const Heard&) const = default;
};

std::string show(const Headers& headers, const std::string& body, bool keep_alive) {
  std::string out;
  for (const auto& [name, value] : headers.fields)
    out += "|" + name + "=" + value;
  return out + "|" + body + (keep_alive ? "|keep" : "|close");
}
std::string show(const Request& r) {
  return r.method + " " + r.target + show(r.headers, r.body, r.keep_alive);
}
std::string show(const Response& r) {
  return std::to_string(r.status) + " " + r.reason + show(r.headers, r.body, r.keep_alive) +
         (r.body_cut ? "|cut" : "");
}

/// Feeds pieces of at most `piece()` bytes.
template <class Parser, class Piece>
Heard hear(Parser& parser, std::string_view bytes, Piece piece) {
  Heard heard;
  while (!bytes.empty()) {
    std::string_view now = bytes.substr(0, piece());
    bytes.remove_prefix(now.size());
    while (!now.empty()) {
      const auto taken = parser.feed(as_bytes(now));
      if (!taken) {
        heard.error = taken.error();
        return heard;
      }
      now.remove_prefix(*taken);
      if (parser.complete()) {
        const auto message = parser.take();
        heard.messages.push_back(show(message));
        if constexpr (std::is_same_v<decltype(message), const Response>) {
          if (message.body_cut) return heard;
        }
      } else if (*taken == 0) {
        FAIL("nothing taken, nothing complete");
      }
    }
  }
  return heard;
}
Heard hear_requests(std::string_view bytes, std::size_t piece = 1 << 20) {
  RequestParser parser(kBody);
  return hear(parser, bytes, [=] { return piece; });
}
Heard hear_responses(std::string_view bytes, std::size_t piece = 1 << 20, bool head = false) {
  ResponseParser parser(kBody, head);
  return hear(parser, bytes, [=] { return piece; });
}

std::string repeated(std::string_view text, std::size_t count) {
  std::string out;
  while (count-- > 0)
    out += text;
  return out;
}

const std::string kGet = "GET /v1/x?y=z HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace

TEST_CASE("whole requests, one after another") {
  const std::string bytes =
      kGet + "PUT /b HTTP/1.1\r\nhost: b:80\r\nContent-Length: 3\r\nX:  v \t\r\n\r\nabc" +
      "\r\nGET / HTTP/1.0\r\n\r\n" +
      "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n";
  const Heard heard = hear_requests(bytes);
  CHECK_FALSE(heard.error);
  REQUIRE(heard.messages.size() == 4);
  CHECK(heard.messages[0] == "GET /v1/x?y=z|Host=a||keep");
  CHECK(heard.messages[1] == "PUT /b|host=b:80|Content-Length=3|X=v|abc|keep");
  CHECK(heard.messages[2] == "GET /||close");
  CHECK(heard.messages[3] == "GET /|Host=[::1]:80|Connection=close||close");
  CHECK(hear_requests(bytes, 1) == heard);
}

TEST_CASE("a request takes no byte of the next one") {
  RequestParser parser(kBody);
  CHECK_FALSE(parser.in_message());
  const std::string two = kGet + kGet;
  CHECK(parser.feed(as_bytes(two)).value() == kGet.size());
  CHECK(parser.complete());
  CHECK_FALSE(parser.in_message());
  CHECK(parser.feed(as_bytes(kGet)).value() == 0);
  CHECK(parser.take().target == "/v1/x?y=z");
  CHECK(parser.feed(as_bytes("GET")).value() == 3);
  CHECK(parser.in_message());
}

TEST_CASE("what is refused, and with which status") {
  const std::string many = [] {
    std::string out = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 4'000; ++i)
      out += "a: b\r\n";
    return out + "\r\n";
  }();
  struct Row {
    const char* name;
    std::string bytes;
    int status;
  };
  const auto with = [](const std::string& line) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + line + "\r\n\r\n";
  };
  const Row rows[] = {
      {"LF-only line ends", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"LF-only after one header", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"LF-only empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare CR in a header", with("X: a\rGET /evil HTTP/1.1"), 400},
      {"bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"bare CR before the request", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"bare LF before the request", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"TE and CL", with("Transfer-Encoding: chunked\r\nContent-Length: 3"), 400},
      {"CL and TE", with("Content-Length: 3\r\nTransfer-Encoding: chunked"), 400},
      {"CL and unknown TE", with("Content-Length: 3\r\nTransfer-Encoding: xchunked"), 400},
      {"TE: identity", with("Transfer-Encoding: identity"), 501},
      {"TE: gzip, chunked", with("Transfer-Encoding: gzip, chunked"), 501},
      {"TE: chunked, gzip", with("Transfer-Encoding: chunked, gzip"), 501},
      {"TE: chunked with a parameter", with("Transfer-Encoding: chunked;q=1"), 501},
      {"TE: empty", with("Transfer-Encoding:"), 501},
      {"TE twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 400},
      {"TE in HTTP/1.0", "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"two different CL", with("Content-Length: 3\r\nContent-Length: 4"), 400},
      {"two equal CL", with("Content-Length: 0\r\nContent-Length: 0"), 400},
      {"list of CL", with("Content-Length: 3, 3"), 400},
      {"CL +5", with("Content-Length: +5"), 400},
      {"CL -5", with("Content-Length: -5"), 400},
      {"CL 0x5", with("Content-Length: 0x5"), 400},
      {"CL 10^22", with("Content-Length: 10000000000000000000000"), 400},
      {"space before colon", with("X : a"), 400},
      {"tab before colon", with("X\t: a"), 400},
      {"space inside a name", with("X y: a"), 400},
      {"no name", with(": a"), 400},
      {"no colon", with("X"), 400},
      {"folded line", with("X: a\r\n b"), 400},
      {"space before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
      {"NUL in a value", with("X: a\0b"s), 400},
      {"NUL in a name", with("X\0: b"s), 400},
      {"DEL in a value", with("X: a\x7f"), 400},
      {"no Host in 1.1", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
      {"two Hosts", with("Host: a"), 400},
      {"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
      {"list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
      {"HTTP/0.9", "GET /\r\n\r\n", 505},
      {"HTTP/0.9 by number", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
      {"not HTTP", "GET / ICE/1.0\r\nHost: a\r\n\r\n", 400},
      {"absolute-form", "GET http://evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"authority-form", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"asterisk-form", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"8 bits in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"space at the end of the line", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
      {"tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"known elsewhere", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"lower case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"100 kB header", with("X: " + std::string(100'000, 'x')), 431},
      {"100 kB target", "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
      {"4000 headers", many, 431},
      {"endless empty lines", std::string(20'000, '\r'), 400},
      {"TLS greeting", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501},
      {"body over the limit", with("Content-Length: 1001"), 413},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Heard heard = hear_requests(row.bytes);
    CHECK(heard.messages.empty());
    REQUIRE(heard.error);
    CHECK(status_of(*heard.error) == row.status);
    CHECK(hear_requests(row.bytes, 1) == heard);
    CHECK(hear_requests(kGet + row.bytes).messages.size() == 1);
  }
}

TEST_CASE("chunked requests are decoded, extensions and trailers are forgotten") {
  const std::string head = "PUT /x HTTP/1.1\r\nHost: a\r\ntRANSFER-eNCODING: \tChunked \r\n\r\n";
  const std::pair<const char*, const char*> rows[] = {
      {"0\r\n\r\n", ""},
      {"000\r\n\r\n", ""},
      {"3\r\nabc\r\n0\r\n\r\n", "abc"},
      {"1\r\na\r\n0000000000000002\r\nbc\r\n0\r\n\r\n", "abc"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"a\r\n\r\n0\r\n\r\n\r\n0\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n0"},
      {"3;x=\"a b\";y\r\nabc\r\n0;last\r\n\r\n", "abc"},
      {"3\r\nabc\r\n0\r\nX-Sum: 900150983cd2\r\nContent-Length: 7\r\nHost: b\r\n\r\n", "abc"},
  };
  for (const auto& [chunks, body] : rows) {
    CAPTURE(chunks);
    const Heard heard = hear_requests(head + chunks + kGet);
    CHECK_FALSE(heard.error);
    REQUIRE(heard.messages.size() == 2);
    CHECK(heard.messages[0] == "PUT /x|Host=a|"s + body + "|keep");
    for (const std::size_t piece : {1, 2, 3, 7})
      CHECK(hear_requests(head + chunks + kGet, piece) == heard);
  }
}

TEST_CASE("chunks that another parser could read differently are refused") {
  const std::string head = "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  struct Row {
    const char* name;
    std::string chunks;
    int status = 400;
  };
  const Row rows[] = {
      {"no size", "\r\nabc\r\n0\r\n\r\n"},
      {"an extension without a size", ";x\r\n\r\n"},
      {"a sign", "+3\r\nabc\r\n0\r\n\r\n"},
      {"0x", "0x3\r\nabc\r\n0\r\n\r\n"},
      {"a space before the size", " 3\r\nabc\r\n0\r\n\r\n"},
      {"a space behind the size", "3 \r\nabc\r\n0\r\n\r\n"},
      {"a size of 17 digits", "00000000000000003\r\nabc\r\n0\r\n\r\n"},
      {"a size beyond 64 bits", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
      {"LF behind the size", "3\nabc\r\n0\r\n\r\n"},
      {"LF in an extension", "3;a\nb\r\nabc\r\n0\r\n\r\n"},
      {"bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"},
      {"NUL in an extension", "3;\0\r\nabc\r\n0\r\n\r\n"s},
      {"data longer than its size", "3\r\nabcXY0\r\n\r\n"},
      {"data longer than its size by a line", "3\r\nabcd\r\n0\r\n\r\n"},
      {"data shorter than its size", "3\r\nab\r\n0\r\n\r\n"},
      {"LF behind the data", "3\r\nabc\n0\r\n\r\n"},
      {"an empty line before the next size", "3\r\nabc\r\n\r\n0\r\n\r\n"},
      {"LF behind the last size", "0\n\r\n"},
      {"LF behind the trailers", "0\r\nA: b\r\n\n"},
      {"LF behind a trailer", "0\r\nA: b\n\r\n"},
      {"a folded trailer", "0\r\nA: b\r\n c\r\n\r\n"},
      {"a trailer with a space before its colon", "0\r\nA : b\r\n\r\n"},
      {"a trailer without a colon", "0\r\nA\r\n\r\n"},
      {"NUL in a trailer", "0\r\nA: \0\r\n\r\n"s},
      {"trailers without end", "0\r\n" + repeated("A: b\r\n", 4'000), 431},
      {"an extension without end", "3;" + std::string(20'000, 'x'), 431},
      {"data beyond the limit", "3e9\r\n" + std::string(1'001, 'x') + "\r\n0\r\n\r\n", 413},
      {"data beyond the limit in two chunks",
       "1f4\r\n" + std::string(500, 'x') + "\r\n1f5\r\n" + std::string(501, 'x'), 413},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Heard heard = hear_requests(head + row.chunks);
    CHECK(heard.messages.empty());
    REQUIRE(heard.error);
    CHECK(status_of(*heard.error) == row.status);
    CHECK(hear_requests(head + row.chunks, 1) == heard);
  }
  const std::string most = "3e8\r\n" + std::string(kBody, 'x') + "\r\n0\r\n\r\n";
  CHECK(hear_requests(head + most).messages.size() == 1);
}

TEST_CASE("limits of a request are reached, not crossed early") {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
  const auto of_size = [&](std::size_t size) {
    return start + "X: " + std::string(size - start.size() - 3 - 4, 'x') + "\r\n\r\n";
  };
  CHECK(hear_requests(of_size(kHeadBytesMax)).messages.size() == 1);
  CHECK(hear_requests(of_size(kHeadBytesMax), 1).messages.size() == 1);
  CHECK(hear_requests(of_size(kHeadBytesMax + 1)).error == Error::head_too_long);
  CHECK(hear_requests(of_size(kHeadBytesMax + 1), 7).error == Error::head_too_long);

  const auto of_headers = [&](std::size_t count) {
    std::string out = start;
    for (std::size_t i = 1; i < count; ++i)
      out += "X:\r\n";
    return out + "\r\n";
  };
  CHECK(hear_requests(of_headers(kHeadersMax)).messages.size() == 1);
  CHECK(hear_requests(of_headers(kHeadersMax + 1)).error == Error::head_too_long);

  const auto of_body = [&](std::size_t size) {
    return start + "Content-Length: " + std::to_string(size) + "\r\n\r\n" + std::string(size, 'b');
  };
  CHECK(hear_requests(of_body(kBody)).messages.size() == 1);
  CHECK(hear_requests(of_body(kBody + 1)).error == Error::body_too_long);
}

TEST_CASE("responses: length, chunks, to the end, without a body") {
  CHECK(hear_responses("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").messages.at(0) ==
        "200 OK|Content-Length=2|ok|keep");
  CHECK(hear_responses("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n")
            .messages.at(0) == "200 OK|Transfer-Encoding=chunked|abcde|keep");
  CHECK(hear_responses("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n")
            .messages.size() == 2);
  CHECK(hear_responses("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 1, true).messages.size() ==
        1);
  CHECK(hear_responses("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                       "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                       3)
            .messages.at(0) == "200 OK|Content-Length=0||close");
  CHECK(hear_responses("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                       "Connection: Upgrade\r\n\r\n")
            .messages.size() == 1);

  ResponseParser to_end(kBody, false);
  CHECK(to_end.feed(as_bytes("HTTP/1.0 200 OK\r\n\r\nabc")).has_value());
  CHECK(to_end.head_complete());
  CHECK_FALSE(to_end.complete());
  CHECK(to_end.response().body == "abc");
  CHECK(to_end.finish().has_value());
  const Response whole = to_end.take();
  CHECK(whole.body == "abc");
  CHECK_FALSE(whole.keep_alive);
}

TEST_CASE("responses that end too early") {
  for (const char* start :
       {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n"}) {
    CAPTURE(start);
    ResponseParser parser(kBody, false);
    CHECK(parser.feed(as_bytes(start)).has_value());
    const auto end = parser.finish();
    REQUIRE_FALSE(end.has_value());
    CHECK(end.error() == Error::cut_short);
  }
}

TEST_CASE("responses that are refused") {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  struct Row {
    const char* name;
    std::string bytes;
    Error error;
  };
  const Row rows[] = {
      {"LF-only", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", Error::bare_line_feed},
      {"LF in a header", "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", Error::bare_line_feed},
      {"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", Error::malformed},
      {"chunk extension with LF", chunked + "3;a\nb\r\nabc\r\n0\r\n\r\n", Error::malformed},
      {"chunk line with LF", chunked + "3\nabc\r\n0\r\n\r\n", Error::malformed},
      {"chunk without CRLF", chunked + "3\r\nabc\n0\r\n\r\n", Error::malformed},
      {"trailer with LF", chunked + "0\r\nA: b\n\r\n", Error::malformed},
      {"trailer with NUL", chunked + "0\r\nA: \0\r\n\r\n"s, Error::malformed},
      {"no chunk size", chunked + "x\r\n", Error::malformed},
      {"huge chunk size", chunked + "fffffffffffffffff\r\n", Error::malformed},
      {"endless chunk extension", chunked + "3;" + std::string(100'000, 'x'), Error::head_too_long},
      {"endless trailers", chunked + "0\r\nA: " + std::string(100'000, 'x'), Error::head_too_long},
      {"TE and CL", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       Error::malformed},
      {"two CL", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
       Error::malformed},
      {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", Error::version},
      {"status 99", "HTTP/1.1 99 X\r\n\r\n", Error::malformed},
      {"status 600", "HTTP/1.1 600 X\r\n\r\n", Error::malformed},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n", Error::malformed},
      {"a request", kGet, Error::malformed},
      {"endless interim answers",
       [] {
         std::string out;
         for (int i = 0; i < 2'000; ++i)
           out += "HTTP/1.1 100 Continue\r\n\r\n";
         return out;
       }(),
       Error::head_too_long},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Heard heard = hear_responses(row.bytes);
    CHECK(heard.messages.empty());
    CHECK(heard.error == row.error);
    CHECK(hear_responses(row.bytes, 1) == heard);
  }
}

TEST_CASE("a body over the limit is cut and the connection is not for reuse") {
  for (const std::string& head :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"s, "HTTP/1.0 200 OK\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n"s}) {
    ResponseParser parser(kBody, false);
    const std::string bytes = head + std::string(5'000, 'b');
    REQUIRE(parser.feed(as_bytes(bytes)).has_value());
    CHECK(parser.complete());
    const Response cut = parser.take();
    CHECK(cut.body == std::string(kBody, 'b'));
    CHECK(cut.body_cut);
    CHECK_FALSE(cut.keep_alive);
  }
  const Heard fits =
      hear_responses("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + std::string(kBody, 'b'));
  CHECK(fits.messages.at(0).ends_with("|keep"));
}

TEST_CASE("how bytes come does not matter") {
  const std::string seeds[] = {
      kGet + kGet,
      "PUT /b HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc" + kGet,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + std::string(2'000, 'x'),
  };
  static constexpr std::string_view kBytes = "\r\n \t:;/*0123aGHT\0\x7f\xff"sv;
  SeededRandom random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = seeds[random.below(std::size(seeds))];
    for (std::uint64_t changes = random.below(4); changes > 0; --changes) {
      const auto at = static_cast<std::size_t>(random.below(std::min(bytes.size(), 150UL)));
      const char byte = kBytes[random.below(kBytes.size())];
      const std::uint64_t what = random.below(3);
      if (what == 0) bytes[at] = byte;
      if (what == 1) bytes.insert(at, 1, byte);
      if (what == 2) bytes.erase(at, 1);
    }
    CAPTURE(round);
    const auto pieces = [&] { return 1 + random.below(1 + random.below(60)); };
    RequestParser requests(kBody);
    REQUIRE(hear(requests, bytes, pieces) == hear_requests(bytes));
    ResponseParser responses(kBody, false);
    REQUIRE(hear(responses, bytes, pieces) == hear_responses(bytes));
  }
}

TEST_CASE("what is written is read back the same") {
  const std::string request = write_request("POST", "/a?b=c", "h:1", {{"X-Y", "z"}}, "body", false);
  CHECK(hear_requests(request).messages.at(0) ==
        "POST /a?b=c|Host=h:1|X-Y=z|Connection=close|Content-Length=4|body|close");
  CHECK(write_request("GET", "/", "h", {}, "", true) == "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(hear_requests(write_request("PUT", "/", "h", {}, "", true)).messages.at(0) ==
        "PUT /|Host=h|Content-Length=0||keep");
  CHECK(hear_responses(write_response(503, {{"A", "b"}}, "no", true)).messages.at(0) ==
        "503 Service Unavailable|A=b|Content-Length=2|no|keep");
  CHECK(write_response(204, {}, "", false) ==
        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  CHECK(reason_phrase(299) == "Unknown"s);
}

TEST_CASE("header fields from outside are checked") {
  CHECK(valid_header("X-A", "b c\td"));
  CHECK(valid_header("x", ""));
  for (const auto& [name, value] : std::initializer_list<std::pair<std::string, std::string>>{
           {"", "a"}, {"a b", "c"}, {"a:", "c"}, {"a", "b\r\nc: d"}, {"a", "\n"}, {"a", "b\0"s}}) {
    CHECK_FALSE(valid_header(name, value));
  }
}

TEST_CASE("targets") {
  const Target target = parse_target("/v1/a%2Fb%20c?x=1&y&z=%26+&&=q").value();
  CHECK(target.path == "/v1/a/b c");
  CHECK(target.query.size() == 4);
  CHECK(target.get("x") == "1");
  CHECK(target.has("y"));
  CHECK(target.get("y").empty());
  CHECK(target.get("z") == "& ");
  CHECK_FALSE(target.has("q"));
  CHECK(parse_target("/a+b")->path == "/a+b");
  std::string full = "/?";
  for (std::size_t i = 0; i < kParametersMax; ++i)
    full += "tag=x&";
  CHECK(parse_target(full)->query.size() == kParametersMax);
  CHECK(parse_target(full + "tag=x").error() == Error::parameters);
  CHECK(parse_target("/?")->query.empty());
  for (const std::string& bad : {""s, "a"s, "*"s, "http://a/"s, "/%"s, "/%4"s, "/%zz"s, "/%00"s,
                                 "/a?%0"s, "/a?b=%00"s, "/a#b"s, "/a b"s, "/a\0"s}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_target(bad).has_value());
  }
}
