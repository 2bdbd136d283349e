// SPDX-License-Identifier: Apache-2.0
#include "base/http/url.h"

#include <doctest/doctest.h>

namespace outrider::http {
namespace {

TEST_CASE("URLs") {
  const auto url = parse_url("HTTP://[2001:db8::1]:8080/a?b=c");
  REQUIRE(url);
  CHECK(url->scheme == "http");
  CHECK(url->host == "2001:db8::1");
  CHECK(url->port == 8080);
  CHECK(url->path == "/a?b=c");
  CHECK(url->to_string() == "http://[2001:db8::1]:8080/a?b=c");
  CHECK(url->authority() == "[2001:db8::1]:8080");
  CHECK(parse_url("https://h")->to_string() == "https://h/");
  CHECK(parse_url("https://h")->authority() == "h:443");
  CHECK(parse_url("http://h?q")->path == "/?q");
  for (const char* text : {"", "http://", "ftp://h/", "file:///etc/passwd", "http://u@h/", "//h/x",
                           "http://h:0/", "http://h:70000/", "http://h:/", "http://h:1x/",
                           "http://[::1/", "http://[h]/", "http://[192.0.2.1]/", "http://x::1]/",
                           "http://h/\r\nX: y", "http://h/#f", "http://h/a b", "http:\\\\h"}) {
    CAPTURE(text);
    CHECK(!parse_url(text));
  }
}

TEST_CASE("percent-encoding of path parts") {
  CHECK(percent_encode("hello-1.svc_~") == "hello-1.svc_~");
  CHECK(percent_encode("a/b c:%\xc3\xa4") == "a%2Fb%20c%3A%25%C3%A4");
  CHECK(percent_encode(std::string_view("\0", 1)) == "%00");
}

}  // namespace
}  // namespace outrider::http
